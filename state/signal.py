"""An event that may be waited for with an end to the waiting.

`asyncio.timeout` around `Event.wait` ends the wait by cancelling the task and catching that again, which
costs several times as much as the wait.
"""

import asyncio
import math
from functools import partial

from state.alarm import Alarm


class Signal:
    """Set or not; setting it wakes everybody who waits."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[bool]] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _end(waiter, True)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self, seconds: float = math.inf, *, alarm: Alarm | None = None) -> bool:
        """Return once it is set, after `seconds` at the latest; whether it was.

        `alarm`: that of somebody who waits again and again, mostly not to the end.
        """
        if self._is_set or seconds <= 0:
            return self._is_set
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        timer = None
        if alarm is not None:
            alarm.ring_in(seconds, partial(_end, waiter, False))
        elif seconds < math.inf:
            timer = loop.call_later(seconds, _end, waiter, False)
        try:
            return await waiter
        finally:
            if alarm is not None:
                alarm.off()
            if timer is not None:
                timer.cancel()
            if waiter in self._waiters:  # the time was over, or who waited was cancelled
                self._waiters.remove(waiter)


def _end(waiter: asyncio.Future[bool], was_set: bool) -> None:
    if not waiter.done():
        waiter.set_result(was_set)
