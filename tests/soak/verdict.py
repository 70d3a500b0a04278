"""Whether what a process holds stays level: a robust slope for each series, and what is left at rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.soak.record import LOADED, REST, RESTED
from tests.soak.slopes import (
    KEPT_SECONDS,
    Point,
    any_load,
    most_of_late,
    most_so_far,
    nearly,
    same,
    slope,
    visits,
)
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
    """How much a series may grow: a share of its level, or so much, whatever is more.

    `load` says for each sample under which load it was taken, `alike` which of them can be compared.
    """

    share: float
    least: float
    load: Callable[[Sequence[Mapping[str, Any]]], list[float]]
    alike: Callable[[float, float], bool]

    def of(self, level: float) -> float:
        return max(self.share * level, self.least)


MEMORY = Bound(0.03, 8 * MIB, most_so_far, same)
COUNT = Bound(0.10, 4, visits, nearly)
POOLED = Bound(0.10, 4, most_of_late, nearly)
ROWS = Bound(0.10, 200, any_load, same)
RECORDS = Bound(1.0, 200, any_load, same)
"""Text is in the fewer records the busier the event loop. Logs that nobody pruned would grow thirtyfold."""
GROWTH: dict[str, Bound] = {
    "rss": MEMORY,
    "uss": MEMORY,
    "descriptors": POOLED,
    "threads": COUNT,
    "tasks": COUNT,
    "postgres": COUNT,
    "sockets_grpc": COUNT,
    "sockets_postgres": COUNT,
    "sockets_provider": POOLED,
    "sockets_tools": COUNT,
    "sockets_other": COUNT,
    "sockets_close_wait": COUNT,
    **{f"rows_{table}": ROWS for table in BOUNDED},
    "rows_run_events": RECORDS,
}
"""Under load, from the end of the warm-up to the end of the load."""
GIVEN_BACK = {
    "processes": 0,
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
    """Of one series: its level, how much it has grown by its slope, and how much it may.

    `plain`: the same by the slope of all pairs, whatever the load; for information. None: it cannot be told.
    """

    name: str
    level: float
    grown: float | None
    allowed: float
    plain: float

    @property
    def passed(self) -> bool:
        return self.grown is not None and self.grown <= self.allowed


def growths(samples: Sequence[Mapping[str, Any]]) -> Iterator[Growth]:
    """Of every series, under load."""
    loaded = [sample for sample in samples if sample["phase"] == LOADED]
    if not loaded:
        return
    began, ended = loaded[0]["at"], loaded[-1]["at"]
    for name, bound in GROWTH.items():
        settling = _ROWS_SETTLING_SECONDS if name.startswith("rows_") else _SETTLING_SECONDS
        points = [
            (sample["at"], sample[name], load)
            for sample, load in zip(samples, bound.load(samples), strict=True)
            if sample["phase"] == LOADED and sample["at"] - began >= settling
        ]
        if points:
            yield _growth(name, bound, points, ended - points[0][0])


def _growth(name: str, bound: Bound, points: Sequence[Point], seconds: float) -> Growth:
    level = median(value for _, value, _ in points)
    found, plain = slope(points, bound.alike), slope(points, lambda *_: True)
    grown = None if found is None else found * seconds
    return Growth(name, level, grown, bound.of(level), (plain or 0.0) * seconds)


def kept_back(record: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """What there is more of at rest at the end than may be: before and after.

    Connections that are kept for the provider's next call are only judged after a rest that outlasts them.
    """
    pair = [_at_rest(record, phase) for phase in (RESTED, REST)]
    before, after = pair
    if record["plan"]["rest"] <= KEPT_SECONDS:
        for sample in pair:
            sample["descriptors"] -= sample.pop("sockets_provider")
    return {
        name: (before[name], after[name])
        for name, more in GIVEN_BACK.items()
        if name in after and after[name] > before[name] + more
    }


def _at_rest(record: Mapping[str, Any], phase: str) -> dict[str, Any]:
    return dict([sample for sample in record["samples"] if sample["phase"] == phase][-1])


class Verdict:
    """Of a soak's record, as JSON holds it. `slopes`: whether growth is judged, which needs minutes."""

    def __init__(self, record: Mapping[str, Any], *, slopes: bool = True) -> None:
        self._record = record
        self.growths = list(growths(record["samples"])) if slopes else []
        self.kept_back = kept_back(record)

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
        yield _machine(record["samples"])
        yield f"visits {record['kinds']}; failed {record['failed']}"
        for goal, reached in self.goals.items():
            yield f"{'pass' if reached else 'FAIL'}  {goal}"


def _line(growth: Growth) -> str:
    scale, unit = (MIB, " MiB") if growth.name in ("rss", "uss") else (1, "")
    level, allowed, plain = (value / scale for value in (growth.level, growth.allowed, growth.plain))
    grown = "?" if growth.grown is None else f"{growth.grown / scale:+.2f}"
    return f"{growth.name} {level:.1f}{unit}: grown by {grown}, allowed {allowed:.2f} (by all: {plain:+.2f})"


def _machine(samples: Sequence[Mapping[str, Any]]) -> str:
    """How busy everybody was under load."""
    loaded = [sample for sample in samples if sample["phase"] == LOADED] or samples
    first, last = loaded[0], loaded[-1]
    seconds = max(last["at"] - first["at"], 1.0)
    shares = [(last[name] - first[name]) / seconds for name in ("cpu", "postgres_cpu", "own_cpu")]
    average = median(sample["load_average"] for sample in loaded)
    service, postgres, own = (f"{share:.0%}" for share in shares)
    return (
        f"of a processor: the service {service}, its Postgres {postgres}, visitors and provider {own}; "
        f"load average {average:.1f}"
    )
