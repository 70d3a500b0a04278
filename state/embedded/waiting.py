"""Waiting with an end, and work that a cancellation must not cut short."""

import asyncio
import time
from collections.abc import Coroutine

from state.embedded.errors import EmbeddedPostgresError

POLL_SECONDS = 0.01


class Deadline:
    """The moment after which a start is given up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    async def pause(self, trouble: str, *, seconds: float = POLL_SECONDS) -> None:
        """Wait `seconds` before another look.

        Raises:
            EmbeddedPostgresError: The time is over; `trouble` says what was waited for.
        """
        if time.monotonic() >= self._at:
            raise EmbeddedPostgresError(f"{trouble} (waited {self._seconds:g} s)")
        await asyncio.sleep(seconds)


async def finish(work: Coroutine[object, object, None]) -> None:
    """Run `work` to its end even if the caller is cancelled meanwhile; that cancellation is raised last."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # Not `await task`: a second cancellation would reach the work itself.
        await asyncio.wait({task})
        raise
