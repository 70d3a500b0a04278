"""Retention's passes on a test's database, and rows made as old as a test wants them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

import asyncpg

from orchestrator.retention import Retention, RetentionTimes
from state.postgres.database import Database
from state.postgres.retention import PostgresRetention
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.logs import listening
from tests.harness.service import Service, running_service

HOUR = 3600.0
TABLES = (
    "checkpoints",
    "checkpoint_writes",
    "checkpoint_blobs",
    "run_events",
    "runs",
    "outbox",
    "request_keys",
)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection whose names are those of our schema."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "orchestrator"})
    try:
        yield connection
    finally:
        await connection.close()


async def age(dsn: str, hours: float, where: str = "true") -> None:
    """Make runs, all or some, so much older."""
    async with connected(dsn) as connection:
        await connection.execute(
            f"UPDATE runs SET create_time = create_time - make_interval(secs => $1),"  # noqa: S608
            f" end_time = end_time - make_interval(secs => $1) WHERE {where}",
            hours * HOUR,
        )
        for table in ("outbox", "request_keys"):
            older = f"UPDATE {table} SET create_time = create_time - make_interval(secs => $1)"  # noqa: S608
            await connection.execute(older, hours * HOUR)


async def value(dsn: str, statement: str) -> Any:
    """The one value a statement asks for."""
    async with connected(dsn) as connection:
        return await connection.fetchval(statement)


async def counts(dsn: str) -> dict[str, int]:
    """How many rows each table has that retention deletes from."""
    async with connected(dsn) as connection:
        return {t: await connection.fetchval(f"SELECT count(*) FROM {t}") for t in TABLES}  # noqa: S608


async def somebody_waits(dsn: str, *, within: float = 5.0) -> None:
    """Return when a statement in this database waits for a lock."""
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(within), connected(dsn) as connection:
        while True:
            if await connection.fetchval(waiting):
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def retention_store(dsn: str, **batch: int) -> AsyncIterator[PostgresRetention]:
    """The store, on its own connection."""
    async with Database(dsn, schema="orchestrator", pool_size=1, statement_seconds=5.0) as database:
        yield PostgresRetention(database, **batch)


async def delete_old(
    dsn: str, *, idle: float = 1e6, events: float = 1e6, runs: float = 1e6, usage: float = 1e6, **batch: int
) -> None:
    """One pass; ages in hours, by default so high that nothing is old."""
    async with retention_store(dsn, **batch) as store:
        times = RetentionTimes(
            interval_seconds=HOUR,
            checkpoints_idle_seconds=idle * HOUR,
            events_seconds=events * HOUR,
            runs_seconds=runs * HOUR,
            usage_seconds=usage * HOUR,
        )
        await Retention(store, times).delete_old()


class Passes(logging.Handler):
    """Hears of every pass that a job in this process has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[dict[str, dict[str, int]]] = []
        self.times: list[float] = []
        self._changed = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "retention":
            self.deleted.append(vars(record)["deleted"])
            self.times.append(monotonic())
            self._changed.set()

    async def number(self, wanted: int, *, within: float = 10.0) -> None:
        """Wait until so many passes have ended."""
        async with asyncio.timeout(within):
            while len(self.deleted) < wanted:
                self._changed.clear()
                await self._changed.wait()


@contextmanager
def heard_passes() -> Iterator[Passes]:
    """What the jobs of this process log while inside."""
    with listening("orchestrator.retention", Passes()) as passes:
        yield passes


@asynccontextmanager
async def settled_service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    """A service whose own first pass is over, so that it takes no turn from a test's."""
    with heard_passes() as passes:
        async with running_service(dsn, provider) as service:
            await passes.number(1)
            yield service
