"""The body of an answer, read for as long as patience lasts, and no more often than it is looked at."""

from types import TracebackType
from typing import Self

import aiohttp

from providers.http.timeouts import Patience
from state.alarm import Alarm
from state.metronome import Metronome


class PatientBody:
    """Ends no wait but that of a read: time that the reader takes between two reads is not the provider's."""

    def __init__(self, response: aiohttp.ClientResponse, patience: Patience, metronome: Metronome) -> None:
        self._connection = response.connection
        self._content = response.content
        self._patience = patience
        self._metronome = metronome
        self._alarm = Alarm()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.close()

    async def read(self) -> bytes:
        """What has come, or comes next; empty at the end.

        Raises:
            TimeoutError: Nothing came before the deadline.
            aiohttp.ClientError, OSError: The connection broke.
        """
        self._alarm.ring_at(self._patience.deadline, self._give_up)
        try:
            return await self._content.readany()
        finally:
            self._alarm.off()

    async def rest(self, until: float) -> None:
        """Leave what comes before that moment to the kernel: it wakes us once then, and not each time."""
        transport = None if self._connection is None else self._connection.transport
        if transport is None or transport.is_closing() or self._content.is_eof():
            return
        transport.pause_reading()
        try:
            await self._metronome.until(until)
        finally:
            if not transport.is_closing():
                transport.resume_reading()

    def _give_up(self) -> None:
        self._content.set_exception(TimeoutError())
