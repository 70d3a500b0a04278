"""The body of an answer, read for as long as patience lasts."""

from types import TracebackType
from typing import Self

import aiohttp

from providers.http.timeouts import Patience
from state.alarm import Alarm


class PatientBody:
    """Ends no wait but that of a read: time that the reader takes between two reads is not the provider's."""

    def __init__(self, content: aiohttp.StreamReader, patience: Patience) -> None:
        self._content = content
        self._patience = patience
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

    def _give_up(self) -> None:
        self._content.set_exception(TimeoutError())
