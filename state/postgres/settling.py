"""Questions that nobody answers any more: those that are due, and those of chats that were replaced."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from state.models import UnattendedRun
from state.permission_ports import Ends, Resolved
from state.postgres import permissions_sql as sql
from state.postgres import unattended
from state.postgres.database import Database
from state.postgres.deciding import Deciding, DisplacedError
from state.sealing import PLAIN, Sealing

if TYPE_CHECKING:
    from state.postgres.database import Connection

_FIRST = UUID(int=0)


class Settling:
    """Takes up to `batch` runs in a transaction, and none that somebody else has locked."""

    def __init__(self, database: Database, *, batch: int = 100, sealing: Sealing = PLAIN) -> None:
        self._sealing = sealing
        self._database = database
        self._batch = batch
        self._looked_at = _FIRST

    async def settle(self, resolved: Resolved, end: Ends) -> int:
        """Settle what is due, and look at a batch of the waiting chats, from where the last call was."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(sql.SOMEBODY_WAITS):
                return 0
        settled = 0
        while True:
            runs, questions = await self._expire(resolved, end)
            settled += questions
            if runs < self._batch:
                return settled + await self._end_displaced(end)

    async def _expire(self, resolved: Resolved, end: Ends) -> tuple[int, int]:
        settled = 0
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(sql.DUE, self._batch)
            for run in map(unattended.unattended, rows):
                try:
                    async with connection.transaction():
                        settled += await Deciding.of(connection, run, resolved, self._sealing).expire()
                except DisplacedError:
                    settled += await self._end(connection, run, end)
        return len(rows), settled

    async def _end_displaced(self, end: Ends) -> int:
        async with self._database.connection() as connection, connection.transaction():
            chats = await connection.fetch(sql.WAITING_CHATS, self._looked_at, self._batch)
            self._looked_at = chats[-1]["run_id"] if len(chats) == self._batch else _FIRST
            displaced: Sequence[UUID] = [chat["run_id"] for chat in chats if chat["displaced"]]
            if not displaced:
                return 0
            rows = await connection.fetch(sql.THESE, displaced)
            return sum([await self._end(connection, run, end) for run in map(unattended.unattended, rows)])

    async def _end(self, connection: "Connection", run: UnattendedRun, end: Ends) -> int:
        """End a run; the table takes its questions with it. Returns how many there were."""
        pending: int = await connection.fetchval(sql.COUNT_PENDING, UUID(run.run_id))
        await unattended.end(connection, run, *end(run), sealing=self._sealing)
        return pending
