"""Telling those who wait that there may be room."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from providers.window import Clock

_EARLY_SECONDS = 0.001


class Timer(Protocol):
    """What `asyncio.TimerHandle` is to us."""

    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Calls back once after so many seconds, as `loop.call_later` does."""


class Room:
    """The listeners of a gate, and the one timer that wakes them when time alone makes room."""

    def __init__(self, clock: Clock, call_later: CallLater | None = None) -> None:
        self._clock = clock
        self._call_later = call_later
        self._listeners: dict[object, Callable[[], None]] = {}
        self._timer: Timer | None = None
        self._due = 0.0
        self._open = True

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    def tell(self) -> None:
        # A copy: a listener may end itself, or begin another.
        for listener in tuple(self._listeners.values()):
            listener()

    def wake_in(self, seconds: float) -> None:
        """Tell the listeners then, or earlier when they are to be told earlier: they ask again anyway."""
        due = self._clock() + seconds
        if not self._open or (self._timer is not None and self._due <= due):
            return
        self._cancel()
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._due = due
        self._timer = call_later(seconds, self._wake)

    def close(self) -> None:
        """Nobody is told anything any more."""
        self._open = False
        self._listeners.clear()
        self._cancel()

    def _wake(self) -> None:
        self._timer = None
        # uvloop counts in whole milliseconds: its timer may be early, and an early question would be refused.
        if (early := self._due - self._clock()) > 0.0:
            self.wake_in(max(early, _EARLY_SECONDS))
        else:
            self.tell()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
