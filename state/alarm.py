"""An end to waiting, for what waits once a token and hardly ever so long."""

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """One time at which something is to be done, which mostly moves on before it is reached.

    To set a timer for each wait and to cancel it costs more than the wait. Here the timer stays, fires at a
    time that has mostly moved on by then, and is set again: once in so many seconds, not once a token.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring: Callable[[], object] = _nothing
        self._rings_at = math.inf
        self._fires_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def ring_at(self, at: float, ring: Callable[[], object]) -> None:
        """Call `ring` at `at`, in the event loop's time, instead of what was to be called before."""
        self._rings_at, self._ring = at, ring
        if at < self._fires_at:
            if self._timer is not None:
                self._timer.cancel()
            self._fires_at = at
            self._timer = self._loop.call_at(at, self._fire)

    def ring_in(self, seconds: float, ring: Callable[[], object]) -> None:
        """As `ring_at`, so many seconds from now."""
        self.ring_at(self._loop.time() + seconds, ring)

    def off(self) -> None:
        """Call nothing."""
        self._rings_at, self._ring = math.inf, _nothing

    def close(self) -> None:
        """Call nothing, and keep no timer either."""
        self.off()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fires_at = math.inf

    def _fire(self) -> None:
        self._fires_at = math.inf
        at, ring = self._rings_at, self._ring
        if self._loop.time() >= at:
            self.off()
            ring()
        elif at < math.inf:
            self.ring_at(at, ring)


def _nothing() -> None:
    pass
