"""How late the event loop is: what keeps it busy keeps every stream waiting."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from telemetry.families import Bins

_EVERY_SECONDS = 0.5


class _Clock:
    """Wakes at fixed times, and notes how much after them that was."""

    def __init__(self, lateness: Bins) -> None:
        self._lateness = lateness
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _EVERY_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._lateness.add(max(0.0, now - self._due))
        self._due = now + _EVERY_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        self._timer.cancel()


@contextmanager
def lag_noted(lateness: Bins) -> Iterator[None]:
    """Measure for the length of the block."""
    clock = _Clock(lateness)
    try:
        yield
    finally:
        clock.stop()
