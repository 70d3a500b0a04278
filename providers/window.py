"""What happened in the last while: counts by time, and times by count."""

from collections import deque
from collections.abc import Callable
from statistics import median

Clock = Callable[[], float]
"""Seconds that only ever grow, as `time.monotonic` tells them."""

Chance = Callable[[], float]
"""A number from 0 up to, not including, 1, as `random.random` draws it."""

_SLICES = 12
_LATENCIES = 128


class SlidingCounts:
    """Successes and failures of the last `seconds`, exact to a twelfth of them."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._slice_seconds = seconds / _SLICES
        self._clock = clock
        self._slices: deque[list[int]] = deque()

    def add(self, *, failed: bool) -> None:
        now = self._dropped_old()
        if not self._slices or self._slices[-1][0] != now:
            self._slices.append([now, 0, 0])
        self._slices[-1][2 if failed else 1] += 1

    def totals(self) -> tuple[int, int]:
        """How many succeeded, and how many failed."""
        self._dropped_old()
        return sum(one[1] for one in self._slices), sum(one[2] for one in self._slices)

    def clear(self) -> None:
        self._slices.clear()

    def _dropped_old(self) -> int:
        now = int(self._clock() / self._slice_seconds)
        while self._slices and self._slices[0][0] <= now - _SLICES:
            self._slices.popleft()
        return now


class RecentLatencies:
    """The newest latencies, in seconds, as far as they are not older than `seconds`."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._measured: deque[tuple[float, float]] = deque(maxlen=_LATENCIES)

    def add(self, latency: float) -> None:
        self._measured.append((self._clock(), latency))

    def p50(self) -> float | None:
        since = self._clock() - self._seconds
        recent = [latency for measured_at, latency in self._measured if measured_at > since]
        return median(recent) if recent else None
