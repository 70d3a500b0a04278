"""Whether what a process holds stays level: a robust slope for each series, and what is left at rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from tests.soak.session import LOADED, REST, RESTED
from tests.soak.watching import BOUNDED

MIB = 1 << 20
_SETTLING_SECONDS = 20.0
"""After the rest that follows the warm-up: until as many visitors are here as before."""
_ROWS_SETTLING_SECONDS = 120.0
"""Rows need their time of retention besides."""
_ERROR_SHARE = 0.001
_HELD_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a series may grow: a share of its level, or so much, whatever is more."""

    share: float
    least: float

    def of(self, level: float) -> float:
        return max(self.share * level, self.least)


MEMORY = Bound(0.03, 8 * MIB)
COUNT = Bound(0.10, 4)
ROWS = Bound(0.10, 200)
GROWTH: dict[str, Bound] = {
    "rss": MEMORY,
    "uss": MEMORY,
    "descriptors": COUNT,
    "threads": COUNT,
    "tasks": COUNT,
    "postgres": COUNT,
    "sockets_grpc": COUNT,
    "sockets_postgres": COUNT,
    "sockets_provider": COUNT,
    "sockets_tools": COUNT,
    "sockets_other": COUNT,
    "sockets_close_wait": COUNT,
    "processes": Bound(0.0, 0.5),
    **{f"rows_{table}": ROWS for table in BOUNDED},
}
"""Under load, from the end of the warm-up to the end of the load."""
GIVEN_BACK = {
    "descriptors": 2,
    "threads": 1,
    "tasks": 2,
    "streams": 0,
    "active_runs": 0,
    "postgres": 1,
    "sockets_grpc": 0,
    "sockets_postgres": 1,
    "sockets_provider": 0,
    "sockets_tools": 0,
    "sockets_close_wait": 0,
    "sockets_other": 0,
}
"""How many more there may be at rest at the end than at rest after the warm-up."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one series: its level, how much it has grown by its slope, and how much it may."""

    name: str
    level: float
    grown: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.grown <= self.allowed


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil and Sen's: the median of the slopes of all pairs. A quarter of the values may be anything."""
    pairs = combinations(zip(times, values, strict=True), 2)
    slopes = [(later - value) / (then - at) for (at, value), (then, later) in pairs if then > at]
    return median(slopes) if slopes else 0.0


def growths(samples: Sequence[Mapping[str, Any]]) -> Iterator[Growth]:
    """Of every series, under load."""
    loaded = [sample for sample in samples if sample["phase"] == LOADED]
    if not loaded:
        return
    began, ended = loaded[0]["at"], loaded[-1]["at"]
    for name, bound in GROWTH.items():
        settling = _ROWS_SETTLING_SECONDS if name.startswith("rows_") else _SETTLING_SECONDS
        kept = [s for s in loaded if s["at"] - began >= settling]
        if len(kept) < 2:
            continue
        times, values = [s["at"] for s in kept], [s[name] for s in kept]
        level = median(values)
        yield Growth(name, level, slope(times, values) * (ended - times[0]), bound.of(level))


def kept_back(samples: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """What there is more of at rest at the end than may be: before and after."""
    before = next(sample for sample in samples if sample["phase"] == RESTED)
    after = [sample for sample in samples if sample["phase"] == REST][-1]
    return {
        name: (before[name], after[name])
        for name, more in GIVEN_BACK.items()
        if after[name] > before[name] + more
    }


class Verdict:
    """Of a soak's record, as JSON holds it. `slopes`: whether growth is judged, which needs minutes."""

    def __init__(self, record: Mapping[str, Any], *, slopes: bool = True) -> None:
        self._record = record
        self.growths = list(growths(record["samples"])) if slopes else []
        self.kept_back = kept_back(record["samples"])

    @property
    def goals(self) -> dict[str, bool]:
        """By name."""
        visits, failed = sum(self._record["kinds"].values()), sum(self._record["failed"].values())
        refused, offered = self._record["refused"], self._record["offered"]
        said = ", ".join(f"{name} {a:.0f} to {b:.0f}" for name, (a, b) in self.kept_back.items())
        found = {_line(growth): growth.passed for growth in self.growths}
        return found | {
            f"at rest no more than at rest after the warm-up: {said or 'nothing'} more": not self.kept_back,
            f"visits that had not ended when the load stopped: {self._record['not_ended']}": (
                not self._record["not_ended"]
            ),
            f"under 0.1 % of visits failed: {failed} of {visits}": failed < _ERROR_SHARE * visits,
            f"the load was held: {refused} of {offered} visits could not be made": (
                refused <= _HELD_SHARE * offered
            ),
        }

    @property
    def passed(self) -> bool:
        return all(self.goals.values())

    def lines(self) -> Iterator[str]:
        """What is printed."""
        record = self._record
        yield f"capacity {record['capacity']:.1f} visits a second, load {record['rate']:.1f}"
        yield f"visits {record['kinds']}; failed {record['failed']}"
        for goal, reached in self.goals.items():
            yield f"{'pass' if reached else 'FAIL'}  {goal}"


def _line(growth: Growth) -> str:
    scale, unit = (MIB, " MiB") if growth.name in ("rss", "uss") else (1, "")
    level, grown, allowed = (value / scale for value in (growth.level, growth.grown, growth.allowed))
    return f"{growth.name} {level:.1f}{unit}: grown by {grown:+.2f}, allowed {allowed:.2f}"
