"""How fast a series grows where the load was alike: a machine that others use too does not keep it so.

Each pair of samples between which the load is alike has a slope, and the series has their median (Theil and
Sen): bursts do not move it, and what leaks shows in every pair.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, combinations
from statistics import median
from typing import Any

KEPT_SECONDS = 30.0
"""A connection to the provider is kept so long at most: for 15 s, and who is past that goes every 15 s."""
_ALIKE_SHARE, _ALIKE_LEAST = 0.1, 3.0

Point = tuple[float, float, float]
"""When, how much, and under which load."""


def slope(points: Sequence[Point], alike: Callable[[float, float], bool]) -> float | None:
    """A second. A quarter of the values may be anything; None: no two samples are alike."""
    slopes = [
        (later - value) / (then - at)
        for (at, value, load), (then, later, load_then) in combinations(points, 2)
        if then > at and alike(load, load_then)
    ]
    return median(slopes) if slopes else None


def nearly(load: float, other: float) -> bool:
    """Whether as many visits were under way, more or less."""
    return abs(load - other) <= max(_ALIKE_LEAST, _ALIKE_SHARE * max(load, other))


def same(load: float, other: float) -> bool:
    return load == other


def most_so_far(samples: Sequence[Mapping[str, Any]]) -> list[float]:
    """Visits at once, at most, up to each sample: a new high takes memory that an allocator keeps."""
    return list(accumulate((sample["most_visits"] for sample in samples), max))


def most_of_late(samples: Sequence[Mapping[str, Any]]) -> list[float]:
    """Visits at once, at most, in the time for which a connection may be kept."""
    return [
        max(s["most_visits"] for s in samples if 0 <= sample["at"] - s["at"] <= KEPT_SECONDS)
        for sample in samples
    ]


def visits(samples: Sequence[Mapping[str, Any]]) -> list[float]:
    """Those under way."""
    return [sample["visits"] for sample in samples]


def any_load(samples: Sequence[Mapping[str, Any]]) -> list[float]:
    """All alike."""
    return [0.0] * len(samples)
