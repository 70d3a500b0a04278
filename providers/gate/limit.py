"""How many calls may be in flight at a provider that does not say so."""

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

from providers.window import Clock


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How the concurrency limit starts, moves and where it stays. Counts are calls in flight, times seconds.

    `floor` and `ceiling` bound it. A refusal multiplies it by `backoff`, or by as little as `deepest_backoff`
    when far fewer calls were in flight than it allowed. It grows only on calls that ended while `used_share`
    of it was in flight. Past the number that was refused last it grows after `explore_calls` calls at that
    number, which bounds the share of calls that are refused for it, but not before `explore_least_seconds`
    have gone by, because a refusal may stop all calls for a while, and at the latest after
    `explore_most_seconds`, because calls may be rare.

    The first-token latency is too high when the median of the last `recent_calls` is over `latency_tolerance`
    times its mean over the last `baseline_calls`, and over `latency_ignored_seconds`.
    """

    initial: int = 16
    floor: int = 1
    ceiling: int = 256
    backoff: float = 0.85
    deepest_backoff: float = 0.5
    used_share: float = 0.8
    explore_calls: int = 100
    explore_least_seconds: float = 10.0
    explore_most_seconds: float = 60.0
    latency_tolerance: float = 2.0
    latency_ignored_seconds: float = 0.25
    recent_calls: int = 20
    baseline_calls: int = 600


class AdaptiveLimit:
    """AIMD on refusals (429, 529) and on first-token latency.

    Increase and decrease are TCP's (RFC 5681): slow start, one more per call that ended well, until the first
    signal; then one more per `limit` calls; on a signal, limit = backoff * limit, taking the calls in flight
    (its FlightSize) into account. A plateau below the last refused number before more is tried is the idea of
    CUBIC's W_max (RFC 9438). For latency: Netflix concurrency-limits' Gradient2, gradient = max(0.5, min(1,
    tolerance * long / short)), limit = limit * gradient, and a long mean that is over twice the short one
    shrinks by 5 %; but on the first token, because the time of a whole call is the length of its answer, and
    on a median, because a long prompt is no congestion.

    A round trip is an `epoch`: every decrease begins a new one, and calls admitted before it do not move the
    limit. How many of a refused round were left when the last was refused is remembered for the next: if that
    is refused at once too, the limit goes there, as TCP Westwood goes to the bandwidth that it measured.
    """

    def __init__(self, settings: LimitSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._ceiling = float(max(1, settings.ceiling))
        self._limit = min(self._ceiling, float(max(settings.initial, settings.floor, 1)))
        self._wall = math.inf
        self._survivors = math.inf
        self._calls_at_wall = 0
        self._refused_at = 0.0
        self._slow_start = True
        self._latency = _LatencyTrend(settings)
        self._replicas = 1
        self.epoch = 0

    @property
    def current(self) -> int:
        return int(self._limit)

    def refused(self, *, in_flight: int, epoch: int) -> bool:
        """A call that was sent in `epoch` was refused, one of `in_flight`; whether that is news."""
        # The one refused was one too many. Fewer in flight than allowed: the limit is further from the truth.
        others = in_flight - 1
        if epoch != self.epoch:
            if epoch == self.epoch - 1:
                self._survivors = min(self._survivors, others)
            return False
        shrunk = min(self._limit * self._settings.backoff, others, self._survivors)
        self._shrink(max(shrunk, self._limit * self._settings.deepest_backoff))
        self._survivors = self._wall = max(others, self._limit)
        self._calls_at_wall = 0
        self._refused_at = self._clock()
        return True

    def first_token(self, seconds: float, *, in_flight: int, epoch: int) -> None:
        """The answer to a call that was sent in `epoch` began after so many seconds."""
        if epoch != self.epoch:
            return
        gradient = self._latency.measured(seconds)
        if gradient < 1.0 and self._used(in_flight):
            self._shrink(self._limit * max(self._settings.deepest_backoff, gradient))

    def succeeded(self, *, in_flight: int, epoch: int) -> None:
        """A call that was sent in `epoch` ended well, one of `in_flight`."""
        if epoch != self.epoch:
            return
        self._survivors = math.inf
        if not self._used(in_flight) or self._latency.high:
            return
        if self._limit >= self._wall and not self._may_explore():
            return
        step = 1.0 if self._slow_start else 1.0 / self._limit
        self._limit = min(self._limit + step, self._wall, self._ceiling)

    def set_share(self, replicas: int) -> None:
        """What was learnt is divided too: the others are about to take their part of it."""
        ratio = self._replicas / replicas
        self._replicas = replicas
        self._ceiling = max(1.0, self._settings.ceiling / replicas)
        self._wall = max(1.0, self._wall * ratio)
        self._survivors = math.inf
        self._limit = self._bounded(self._limit * ratio)

    def _may_explore(self) -> bool:
        settings = self._settings
        self._calls_at_wall += 1
        waited = self._clock() - self._refused_at
        enough = self._calls_at_wall >= settings.explore_calls and waited >= settings.explore_least_seconds
        if not enough and waited < settings.explore_most_seconds:
            return False
        self._wall = math.inf
        return True

    def _used(self, in_flight: int) -> bool:
        return in_flight >= self._settings.used_share * self.current

    def _shrink(self, limit: float) -> None:
        self._limit = self._bounded(limit)
        self._slow_start = False
        self._latency.restart()
        self.epoch += 1

    def _bounded(self, limit: float) -> float:
        return min(self._ceiling, max(1.0, float(self._settings.floor), limit))


class _LatencyTrend:
    """First-token latency now against what it usually is."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._baseline = _Mean(settings.baseline_calls)
        self._recent: deque[float] = deque(maxlen=settings.recent_calls)
        self.high = False

    def measured(self, seconds: float) -> float:
        """The gradient: below 1 when the latency is too high, and the lower the higher it is."""
        self._recent.append(seconds)
        if len(self._recent) < self._settings.recent_calls:
            return 1.0
        short = median(self._recent)
        long = self._baseline.add(short)
        if long > 2 * short:
            self._baseline.value *= 0.95
        allowed = max(self._settings.latency_tolerance * long, self._settings.latency_ignored_seconds)
        self.high = short > allowed
        return allowed / short if self.high else 1.0

    def restart(self) -> None:
        """Latencies from before a decrease do not speak for the limit after it."""
        self._recent.clear()
        self.high = False


class _Mean:
    """An exponential mean over about `calls`; the plain mean of the first half of them."""

    def __init__(self, calls: int) -> None:
        self._least_weight = 2.0 / (calls + 1)
        self.value = 0.0
        self.count = 0

    def add(self, seconds: float) -> float:
        self.count += 1
        self.value += (seconds - self.value) * max(1.0 / self.count, self._least_weight)
        return self.value
