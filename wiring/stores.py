"""What a process keeps in Postgres."""

import asyncio

from config.settings import Settings
from state.models import ReplicaId
from state.postgres.events import Flushed
from state.postgres.stores import PostgresStores
from wiring.sealing import sealing_of


def stores_at(
    settings: Settings,
    dsn: str,
    replica_id: ReplicaId,
    *,
    version: str,
    hurried: asyncio.Event | None = None,
    flushed: Flushed | None = None,
    callers: str | None = None,
) -> PostgresStores:
    """What this process keeps, in the schema and within the limits that the settings name.

    `dsn` is the login of all that works, `callers` the one of those who ask, where it is another.
    """
    schema, limits = settings.database.schema_name, settings.database.model_dump()
    del limits["schema_name"], limits["connect_seconds"], limits["callers_url"]
    return PostgresStores(
        dsn,
        replica_id,
        version=version,
        schema=schema,
        hurried=hurried,
        flushed=flushed,
        callers_dsn=callers,
        sealing=sealing_of(settings),
        **limits,
    )
