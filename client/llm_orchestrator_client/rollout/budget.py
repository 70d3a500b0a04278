"""What the rollout may cost in errors and in time: over it, it halts itself."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from llm_orchestrator_client.rollout.conversations import Path
from llm_orchestrator_client.rollout.halt import Halt
from llm_orchestrator_client.rollout.metrics import RolloutMetrics

_MOST_SAMPLES = 10_000  # of a window: what the quantile is sorted from


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Over the last `window_seconds`, once the orchestrator has `minimum_samples` there.

    Errors: a share of at most `error_ratio`. Time: the `latency_quantile` of the seconds to the first content
    is at most `latency_seconds`. Where the local path has as many samples and does worse than that itself,
    its own value is the budget: the orchestrator is not blamed for a provider that fails both.
    """

    window_seconds: float = 120.0
    minimum_samples: int = 50
    error_ratio: float = 0.05
    latency_quantile: float = 0.95
    latency_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    failed: bool
    first_byte: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a window holds of one path: its calls, the share that failed, and the quantile of the seconds to
    the first content.
    """

    samples: int
    error_ratio: float
    latency_seconds: float


class Window:
    """The samples of one path in the last seconds, the newest few thousand of them."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._samples: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)
        self._failed = 0

    def __len__(self) -> int:
        self._forget()
        return len(self._samples)

    def add(self, *, failed: bool, first_byte: float | None) -> None:
        if len(self._samples) == _MOST_SAMPLES:
            self._drop()
        self._samples.append(_Sample(self._clock(), failed, first_byte))
        self._failed += failed

    def clear(self) -> None:
        self._samples.clear()
        self._failed = 0

    def error_ratio(self) -> float:
        self._forget()
        return self._failed / len(self._samples) if self._samples else 0.0

    def latency(self, quantile: float) -> float:
        """Seconds to the first content, of those that had any; 0.0 without one."""
        self._forget()
        times = sorted(s.first_byte for s in self._samples if s.first_byte is not None)
        return times[math.ceil(quantile * len(times)) - 1] if times else 0.0

    def _forget(self) -> None:
        oldest = self._clock() - self._seconds
        while self._samples and self._samples[0].at < oldest:
            self._drop()

    def _drop(self) -> None:
        self._failed -= self._samples.popleft().failed


class Budget:
    """Counts both paths and halts. A release begins a new window."""

    def __init__(
        self,
        settings: BudgetSettings,
        halt: Halt,
        metrics: RolloutMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._halt = halt
        self._metrics = metrics
        self._windows = {path: Window(settings.window_seconds, clock) for path in Path}
        self._halted = False
        self.samples = 0

    def record(self, path: Path, *, failed: bool, first_byte: float | None) -> None:
        """One attempt. `failed`: by the path's own fault; `first_byte`: seconds, None where no content
        came.
        """
        halted = self.cause()
        self._windows[path].add(failed=failed, first_byte=first_byte)
        if path is Path.ORCHESTRATOR:
            self.samples += 1
            if not halted:
                self._judge()

    def release(self) -> None:
        """Let the rollout go on, judged from now."""
        self._halt.release()
        self._begin_anew()

    def cause(self) -> str:
        """Why it is halted; empty = it is not."""
        cause = self._halt.cause()
        if self._halted and not cause:
            self._begin_anew()  # somebody else has released it
        self._halted = bool(cause)
        return cause

    def seen(self, path: Path) -> Seen:
        """One path in the last `window_seconds`."""
        window = self._windows[path]
        latency = window.latency(self._settings.latency_quantile)
        return Seen(len(window), window.error_ratio(), latency)

    def _begin_anew(self) -> None:
        for window in self._windows.values():
            window.clear()

    def _judge(self) -> None:
        remote, local = self._windows[Path.ORCHESTRATOR], self._windows[Path.LOCAL]
        if len(remote) < self._settings.minimum_samples:
            return
        compared = len(local) >= self._settings.minimum_samples
        allowed = max(self._settings.error_ratio, local.error_ratio() if compared else 0.0)
        if remote.error_ratio() > allowed:
            self._stop("errors")
        elif self._too_slow(remote, local if compared else None):
            self._stop("latency")

    def _too_slow(self, remote: Window, local: Window | None) -> bool:
        quantile = self._settings.latency_quantile
        if self.samples % (len(remote) // 100 + 1):
            return False  # a large window is not sorted for every call
        allowed = max(self._settings.latency_seconds, local.latency(quantile) if local else 0.0)
        return remote.latency(quantile) > allowed

    def _stop(self, cause: str) -> None:
        self._halt.stop(cause)
        self._metrics.halts.labels(cause).inc()
