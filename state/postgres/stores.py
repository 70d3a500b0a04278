"""Everything one process keeps in Postgres, each kind of work with connections of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self

from state.models import ReplicaId
from state.postgres.agent_versions import PostgresAgentVersions
from state.postgres.checkpoints.branches import PostgresBranches
from state.postgres.checkpoints.patient import PatientSaver
from state.postgres.conversations import PostgresConversations
from state.postgres.database import Database
from state.postgres.drain import PostgresDrain
from state.postgres.effects import PostgresEffects
from state.postgres.events import Flushed, PostgresEventStore
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from state.postgres.outbox import OutboxReader, PostgresOutbox
from state.postgres.patience import Patience
from state.postgres.permissions import PostgresPermissions
from state.postgres.providers_down import PostgresProvidersDown
from state.postgres.readings import PostgresReadings
from state.postgres.request_keys import PostgresRequestKeys
from state.postgres.retention import PostgresRetention
from state.postgres.runs import PostgresRunStore
from state.postgres.storage import PostgresStorage
from state.postgres.suspension import PostgresSuspension
from state.postgres.tasks import PostgresTasks
from state.postgres.usage import PostgresUsage
from state.sealing import PLAIN, Sealing

_REPORT_SECONDS = 3600.0
"""A report reads whole tables, and whoever asked for it can stop it."""


class PostgresStores:
    """The stores of one process, open inside its context.

    `pool_size` connections serve callers and runs; given `callers_dsn`, a login that row-level security
    binds, as many more serve callers alone. Beats, reaping and claims have one each, because they may
    wait for nobody's work; retention has one, because nobody may wait for its. Runs outlast an outage of
    `outage_seconds`, unless `hurried` is set. `flushed` as in `PostgresEventStore`. What `sealing` seals, it
    alone reads.
    """

    def __init__(
        self,
        dsn: str,
        replica_id: ReplicaId,
        *,
        version: str,
        schema: str,
        pool_size: int,
        acquire_seconds: float,
        statement_seconds: float,
        outage_seconds: float,
        hurried: asyncio.Event | None = None,
        flushed: Flushed | None = None,
        callers_dsn: str | None = None,
        sealing: Sealing = PLAIN,
    ) -> None:
        bounded = partial(Database, acquire_seconds=acquire_seconds, statement_seconds=statement_seconds)
        pool = partial(bounded, schema=schema)
        self.database = database = pool(dsn, pool_size=pool_size)
        beats, reaps, claims, retention = alone = [pool(dsn, pool_size=1) for _ in range(4)]
        self.callers = callers = pool(callers_dsn, pool_size=pool_size) if callers_dsn else database
        self._databases = dict.fromkeys([database, callers, *alone])
        patience = Patience(outage_seconds, hurried)
        self.runs = PostgresRunStore(database, replica_id, patience, callers=callers, sealing=sealing)
        self.events = PostgresEventStore(
            database, patience, flushed=flushed, callers=callers, sealing=sealing
        )
        self.checkpoints = PatientSaver(database, patience, sealing=sealing)
        self.branches = PostgresBranches(database, callers=callers, sealing=sealing)
        self.line = PostgresLine(database, claims, replica_id, sealing=sealing)
        self.tasks = PostgresTasks(callers, sealing=sealing)
        self.drain = PostgresDrain(database, sealing=sealing)
        self.leases = PostgresLeases(beats, reaps, replica_id, version=version, sealing=sealing)
        self.retention = PostgresRetention(retention)
        self.suspension = PostgresSuspension(database, patience, sealing=sealing)
        self.permissions = PostgresPermissions(database, reaps, callers=callers, sealing=sealing)
        self.effects = PostgresEffects(database, patience, sealing=sealing)
        self.providers_down = PostgresProvidersDown(reaps, replica_id)
        self._look_up_and_count()

    def _look_up_and_count(self) -> None:
        """What needs neither patience nor keys."""
        self.conversations = PostgresConversations(self.callers)
        self.keys = PostgresRequestKeys(self.callers)
        self.usage = PostgresUsage(self.callers)
        self.readings = PostgresReadings(self.database)
        self.outbox = PostgresOutbox(self.database)
        self.agent_versions = PostgresAgentVersions(self.database)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for database in self._databases:
                await stack.enter_async_context(database)
            self._opened: AsyncExitStack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()


@asynccontextmanager
async def storage_at(dsn: str, *, schema: str) -> AsyncIterator[PostgresStorage]:
    """What measures the tables, beside a service or without one."""
    async with Database(dsn, schema=schema, pool_size=1, statement_seconds=_REPORT_SECONDS) as database:
        yield PostgresStorage(database)


@asynccontextmanager
async def outbox_at(dsn: str, *, schema: str) -> AsyncIterator[tuple[PostgresOutbox, OutboxReader]]:
    """The outbox beside a service or without one: as the relay has it, and as who only looks has it."""
    async with Database(dsn, schema=schema, pool_size=1) as database:
        yield PostgresOutbox(database), OutboxReader(database)
