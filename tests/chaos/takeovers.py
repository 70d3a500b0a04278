"""Waiting, from outside, until a process has work, and until somebody else has taken it over."""

import asyncio

import asyncpg
from asyncpg.exceptions import PostgresError

from tests.integration.tasks.tables import connected

_LOOK_SECONDS = 0.01
_WORK_SECONDS = 1.5
_LAST = "SELECT coalesce(max(id), 0) FROM audit.events"
_HAS_WORK = """
SELECT EXISTS (
    SELECT FROM orchestrator.runs r JOIN audit.events e USING (run_id, attempt)
    WHERE r.state = 'running' AND r.survives AND e.writer = $1 AND e.new_state = 'running'
)
"""
_TAKEN = """
SELECT EXISTS (
    SELECT FROM audit.events mine JOIN audit.events theirs USING (run_id)
    WHERE mine.writer = $1 AND mine.new_state = 'running'
        AND theirs.id > $2 AND theirs.writer <> $1 AND theirs.new_state = 'running'
)
"""
AWAY = (OSError, TimeoutError, PostgresError, asyncpg.InterfaceError)
"""What a connection of ours says when Postgres is not there."""


class Takeovers:
    """Asks the audit. Whoever waits here waits no longer than it says, and in vain while Postgres is away."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def has_work(self, name: str) -> bool:
        """Until the process of that role executes something that another one could go on with."""
        return await self._until(_WORK_SECONDS, _HAS_WORK, name)

    async def of(self, name: str, within: float) -> bool:
        """Until another process executes what that one had, in so many seconds."""
        try:
            async with connected(self._dsn) as connection:
                last = await connection.fetchval(_LAST)
        except AWAY:
            last = 0
        return await self._until(within, _TAKEN, name, last)

    async def _until(self, within: float, statement: str, *arguments: object) -> bool:
        try:
            async with asyncio.timeout(within), connected(self._dsn) as connection:
                while not await connection.fetchval(statement, *arguments):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            return False
        except AWAY:
            await asyncio.sleep(within)
            return False
        return True
