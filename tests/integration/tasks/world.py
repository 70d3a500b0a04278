"""A database and two workers' stores, for tests that are not asynchronous."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from state.models import ReplicaId
from state.postgres.database import Database
from state.postgres.effects import PostgresEffects
from state.postgres.events import PostgresEventStore
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from state.postgres.permissions import PostgresPermissions
from state.postgres.runs import PostgresRunStore
from state.postgres.suspension import PostgresSuspension
from tests.harness.postgres import fresh_database


@dataclass(frozen=True, slots=True)
class Worker:
    """One process's stores."""

    replica_id: ReplicaId
    runs: PostgresRunStore
    suspension: PostgresSuspension
    permissions: PostgresPermissions
    effects: PostgresEffects
    line: PostgresLine
    leases: PostgresLeases


class World:
    """A database and two workers, and a loop to drive them from a test that is not asynchronous."""

    def __init__(self, server_dsn: str) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.run = self._runner.run
        dsn = self.run(self._stack.enter_async_context(fresh_database(server_dsn)))
        self.database = self.run(
            self._stack.enter_async_context(Database(dsn, schema="orchestrator", pool_size=2))
        )
        self.events = PostgresEventStore(self.database)
        self.workers = [self._worker() for _ in range(2)]

    def _worker(self) -> Worker:
        replica_id, database = ReplicaId(uuid4().hex), self.database
        return Worker(
            replica_id,
            PostgresRunStore(database, replica_id),
            PostgresSuspension(database),
            PostgresPermissions(database, database),
            PostgresEffects(database),
            PostgresLine(database, database, replica_id),
            PostgresLeases(database, database, replica_id, version="test"),
        )

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *arguments)

    async def fetch(self, statement: str) -> "list[asyncpg.Record]":
        async with self.database.connection() as connection:
            return await connection.fetch(statement)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()


@contextmanager
def opened_world(server_dsn: str) -> Iterator[World]:
    """One, with a database of its own."""
    world = World(server_dsn)
    try:
        yield world
    finally:
        world.close()
