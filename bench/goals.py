"""What `make bench` is held to, per processor, in one table; found in the results of all parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.peers.sides import AEGRA, AFTERNOON, LITELLM, OURS
from bench.report import milliseconds

Results = Mapping[str, Any]
"""By part, what it has written."""

PASS, MISSED, NOT_MEASURED = "pass", "missed", "not measured"
FLAT = 2.0
"""So many times as long a statement may take at 10^7 rows as at 10^4: a level more of a tree, and noise."""
_MOST_ROWS = 10_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """`limit` is what `value` reaches at least (`up`) or at most; None = it was not measured."""

    name: str
    limit: float
    value: Callable[[Results], float | None]
    spoken: Callable[[float], str]
    up: bool = False

    def verdict(self, results: Results) -> str:
        """PASS, MISSED or NOT_MEASURED."""
        value = self.value(results)
        if value is None:
            return NOT_MEASURED
        return PASS if (value >= self.limit if self.up else value <= self.limit) else MISSED

    def row(self, results: Results) -> tuple[str, str, str, str]:
        """Name, goal, what was reached, verdict."""
        value = self.value(results)
        bound = f"{'at least' if self.up else 'at most'} {self.spoken(self.limit)}"
        return self.name, bound, "-" if value is None else self.spoken(value), self.verdict(results)


def at(results: Any, *path: str | int) -> Any:
    """What lies there; None where nothing does."""
    for name in path:
        try:
            results = results[name]
        except (KeyError, IndexError, TypeError):
            return None
    return results


def _at(*path: str | int) -> Callable[[Results], float | None]:
    return lambda results: at(results, *path)


def _failed(results: Results) -> float | None:
    """The share of our calls that failed, at every level that was carried."""
    levels = at(results, "streams", "sides", OURS) or {}
    most = at(results, "streams", "carried", OURS, "streams") or 0
    carried = [one for level, one in levels.items() if int(level) <= most]
    calls = sum(one["calls"] for one in carried)
    return sum(one["failed"] * one["calls"] for one in carried) / calls if calls else None


def _ready(results: Results) -> float | None:
    warm = at(results, "startup", "warm_seconds")
    return median(warm) if warm else None


def _flat(results: Results) -> float | None:
    """The statement that grows most, if it was tried with all rows."""
    if max(at(results, "growth", "events", "rows") or [0]) < _MOST_ROWS:
        return None
    times = [at(results, "growth", what, "times") or {} for what in ("events", "line")]
    return max((value for one in times for value in one.values()), default=None)


def _times(value: float) -> str:
    return f"{value:.1f} times"


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"


_OURS_AT_64 = ("streams", "sides", OURS, "64")
_TASKS = ("tasks", "all_then_each_round", OURS, 0)
_RATIO_AT_16 = "added first token p50 at 16"


def _ahead_of(peer: str, spoken: str) -> Goal:
    name = f"first token added by {spoken} to that by us, p50, 16 streams"
    return Goal(name, 5.0, _at("streams", "ratios", peer, _RATIO_AT_16), _times, up=True)


GOALS = (
    _ahead_of(LITELLM, LITELLM),
    _ahead_of(AEGRA, AEGRA),
    _ahead_of(AFTERNOON, f"the {AFTERNOON}"),
    Goal(
        "first token added by us, p50, 64 streams",
        0.010,
        _at(*_OURS_AT_64, "added_first_token", "p50"),
        milliseconds,
    ),
    Goal(
        "first token added by us, p99, 64 streams",
        0.025,
        _at(*_OURS_AT_64, "added_first_token", "p99"),
        milliseconds,
    ),
    Goal(
        "streams of 50 tokens/s carried, gap p99 under 100 ms and 90 % delivered",
        130,
        _at("streams", "carried", OURS, "streams"),
        lambda value: f"{value:.0f}",
        up=True,
    ),
    Goal("CPU of a token, 64 streams", 200e-6, _at(*_OURS_AT_64, "cpu"), _microseconds),
    Goal("StartTask accepted, p50, a call every 25 ms", 0.005, _at(*_TASKS, "accepted_p50"), milliseconds),
    Goal("StartTask accepted, p50, in a row", 0.005, _at(*_TASKS, "in_a_row_p50"), milliseconds),
    Goal("from start to ready", 3.0, _ready, lambda seconds: f"{seconds:.2f} s"),
    Goal("calls that fail without a fault", 0.001, _failed, lambda share: f"{share:.2%}"),
    Goal("the slowest statement at 10^7 records, to 10^4", FLAT, _flat, _times),
)
