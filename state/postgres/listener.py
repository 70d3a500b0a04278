"""Hear what other processes have written, so that who reads it need not ask."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import asyncpg

from state.background import BackgroundTask
from state.errors import DatabaseUnavailableError
from state.postgres.database import translated

logger = logging.getLogger(__name__)

EVENTS = "run_events"
CANCELS = "run_cancels"
QUEUED = "run_queued"
_RETRY_SECONDS = 0.5


class Listener(BackgroundTask):
    """Passes notifications on, on a connection of its own, which it makes again whenever it is lost.

    `hear`, by channel, gets the words of one notification. What is said while the connection is down is not
    heard: who must know looks by itself now and then.
    """

    def __init__(self, dsn: str, hear: Mapping[str, Callable[[Iterable[str]], None]]) -> None:
        super().__init__("listener")
        self._dsn = dsn
        self._hear = hear
        self._hearing = asyncio.Event()

    async def hearing(self) -> None:
        """Return when it hears: what is said from now on arrives, as long as the connection lives."""
        await self._hearing.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (DatabaseUnavailableError, asyncpg.PostgresError, asyncpg.InternalClientError):
                # Whatever a dying server says: hearing is a convenience, so it is tried again.
                logger.warning("listener lost its connection")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        lost = asyncio.Event()
        with translated():
            connection = await asyncpg.connect(self._dsn, timeout=5.0)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            with translated():
                for channel in self._hear:
                    await connection.add_listener(channel, self._heard)
            self._hearing.set()
            await lost.wait()
        finally:
            self._hearing.clear()
            connection.terminate()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        del connection, pid
        self._hear[channel](str(payload).split())
