"""Time and chance that stand still until a test moves them."""

from collections.abc import Callable


class _Timer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualTime:
    """A clock, `call_later` and a `chance` in one; moving the clock runs what has become due."""

    def __init__(self) -> None:
        # Not zero: a clock that begins there hides what was never set.
        self.now = 1000.0
        self.drawn = 0.0
        self._timers: list[_Timer] = []

    def clock(self) -> float:
        return self.now

    def chance(self) -> float:
        return self.drawn

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(self.now + seconds, callback)
        self._timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[float]:
        """When the timers that are set are due."""
        return sorted(timer.due for timer in self._timers if not timer.cancelled)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [t for t in self._timers if not t.cancelled and t.due <= until]:
            timer = min(due, key=lambda one: one.due)
            self._timers.remove(timer)
            self.now = max(self.now, timer.due)
            timer.callback()
        self.now = until
