"""Before and after a backup is put back: whether anybody is at work, and where numbers must not begin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from state.postgres.database import translated

# More events than are ever told between a backup and its restoration.
_SKIPPED_EVENTS = 1_000_000_000
_EXISTS = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_AT_WORK = "SELECT count(*) FROM {schema}.replicas WHERE beat_time > now() - make_interval(secs => $1)"
_NEXT_EVENT = """
SELECT setval(s.name, (SELECT coalesce(max(event_id), 0) FROM {schema}.outbox)
    + coalesce(pg_sequence_last_value(s.name), 0) + $1)
FROM (SELECT pg_get_serial_sequence('{schema}.outbox', 'event_id')::regclass AS name) AS s
"""


class RestoreError(Exception):
    """The backup cannot be put back; the message says what to do."""


async def make_room(dsn: str, schema: str, *, replace: bool, silent_seconds: float = 10.0) -> None:
    """Return when there is no such schema; with `replace` one whose replicas are all silent is dropped.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
        RestoreError: It is there, and is to stay or in use.
    """
    async with _connected(dsn) as connection:
        if not await connection.fetchval(_EXISTS, schema):
            return
        if not replace:
            raise RestoreError(
                f"there is a schema {schema} already: --replace drops it, with all that is in it"
            )
        quoted = _quoted(schema)
        at_work = await connection.fetchval(_AT_WORK.format(schema=quoted), silent_seconds)
        if at_work:
            raise RestoreError(f"{at_work} replicas are at work on it: stop them first")
        await connection.execute(f"DROP SCHEMA {quoted} CASCADE")


async def begin_anew(dsn: str, schema: str) -> None:
    """Number events far beyond those that were told since the backup: listeners know these numbers.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
    """
    async with _connected(dsn) as connection:
        await connection.execute(
            _NEXT_EVENT.format(schema=_quoted(schema)).replace("$1", str(_SKIPPED_EVENTS))
        )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    with translated():
        connection = await asyncpg.connect(dsn)
        try:
            yield connection
        finally:
            await connection.close()


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'
