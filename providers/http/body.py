"""The body of an answer, read for as long as patience lasts."""

import asyncio
import math
from types import TracebackType
from typing import Self

import aiohttp

from providers.http.timeouts import Patience


class PatientBody:
    """One timer for the whole body: a time-out around each read would cost more than the read.

    The timer fires at a deadline that has mostly moved on by then, and is set again. Nothing is interrupted
    but a read: time that the reader takes between two reads is not the provider's.
    """

    def __init__(self, content: aiohttp.StreamReader, patience: Patience) -> None:
        self._content = content
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf
        self._is_read = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    async def read(self) -> bytes:
        """What has come, or comes next; empty at the end.

        Raises:
            TimeoutError: Nothing came before the deadline.
            aiohttp.ClientError, OSError: The connection broke.
        """
        if self._patience.deadline < self._fires_at:
            self._fire_at_deadline()
        self._is_read = True
        try:
            return await self._content.readany()
        finally:
            self._is_read = False

    def _fire_at_deadline(self) -> None:
        self._stop()
        self._fires_at = self._patience.deadline
        self._timer = self._loop.call_at(self._fires_at, self._look)

    def _look(self) -> None:
        self._fires_at = math.inf
        if not self._is_read:
            return  # the next read sets it again
        if self._loop.time() < self._patience.deadline:
            self._fire_at_deadline()
        else:
            self._content.set_exception(TimeoutError())

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
