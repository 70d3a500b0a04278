"""What a process keeps in Postgres."""

import asyncio

from config.settings import Settings
from state.models import ReplicaId
from state.postgres.events import Flushed
from state.postgres.roles import Logins
from state.postgres.stores import PostgresStores
from wiring.sealing import sealing_of


def stores_at(
    settings: Settings,
    logins: Logins,
    replica_id: ReplicaId,
    *,
    version: str,
    hurried: asyncio.Event | None = None,
    flushed: Flushed | None = None,
) -> PostgresStores:
    """What this process keeps, in the schema and within the limits that the settings name."""
    schema, limits = settings.database.schema_name, settings.database.model_dump()
    del limits["schema_name"], limits["connect_seconds"], limits["callers_url"]
    return PostgresStores(
        logins.work,
        replica_id,
        version=version,
        schema=schema,
        hurried=hurried,
        flushed=flushed,
        callers_dsn=logins.callers,
        sealing=sealing_of(settings),
        **limits,
    )
