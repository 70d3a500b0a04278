"""Whether anything has happened to what a user has: rows, wake-ups, calls of the model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.harness.retention import connected
from tests.isolation.world import World

_CHANNELS = ("run_events", "run_queued", "run_cancels")
_OWNED = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'orchestrator' AND column_name = 'owner' ORDER BY table_name
"""


class Witness:
    """Looks at a user's rows in every table that has an owner, and hears every notification."""

    def __init__(self, connection: "asyncpg.Connection[Any]", world: World, tables: list[str]) -> None:
        self._connection = connection
        self._world = world
        self.heard: list[str] = []
        self._calls = len(world.service.provider.ledger)
        # Rows as numbers: a sum that stays the same for all tables says that no row was touched.
        self._rows = " UNION ALL ".join(
            f"SELECT '{table}', count(*), sum(hashtextextended(t::text, 0)::numeric)"  # noqa: S608
            f" FROM {table} t WHERE owner = $1"
            for table in tables
        )

    async def rows(self, user: str) -> dict[str, tuple[object, ...]]:
        """What stands for all rows of a user, by table; what was notified of before has been heard then."""
        return {row[0]: tuple(row[1:]) for row in await self._connection.fetch(self._rows, user)}

    def woken(self, ids: set[str]) -> list[str]:
        """Which notifications since the last look name one of these runs."""
        heard, self.heard = self.heard, []
        return [payload for payload in heard if any(run_id[:8] in payload for run_id in ids)]

    def asked(self) -> list[str]:
        """What the model was sent since the last look."""
        calls = self._world.service.provider.ledger[self._calls :]
        self._calls += len(calls)
        return [str(call.body) for call in calls]

    def hear(self, *notified: object) -> None:
        self.heard.append(str(notified[-1]))


@asynccontextmanager
async def witnessing(world: World) -> AsyncIterator[Witness]:
    """The connection is closed afterwards."""
    async with connected(world.service.dsn) as connection:
        tables = [row["table_name"] for row in await connection.fetch(_OWNED)]
        assert "runs" in tables
        witness = Witness(connection, world, tables)
        for channel in _CHANNELS:
            await connection.add_listener(channel, witness.hear)
        yield witness
        for channel in _CHANNELS:
            await connection.remove_listener(channel, witness.hear)
