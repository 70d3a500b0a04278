"""Bring a schema up to date, safely with any number of processes doing so, or at work, at once."""

import asyncio
import random
from collections.abc import Callable, Iterable
from itertools import groupby
from time import monotonic

import asyncpg

from state.errors import DatabaseUnavailableError
from state.postgres.database import translated
from state.postgres.migration import Migration, MigrationError, is_newer, missing, shipped
from state.postgres.roles import admit

__all__ = ["Migration", "MigrationError", "migrate", "migrate_when_reachable", "shipped"]

_RETRY_SECONDS = 0.5
_TURN_SECONDS = 0.1
_LOCK_TRIES = 60

# A session that waits for a table's lock stops all who come after it: so it gives up soon, and tries again.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
_TURN = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_MAY_ONLY_LOOK = """
SELECT has_schema_privilege(oid, 'USAGE') AND NOT has_schema_privilege(oid, 'CREATE')
FROM pg_namespace WHERE nspname = $1
"""

_CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS runs_with integer
"""
_APPLIED = "INSERT INTO schema_migrations (version, name, sha256, runs_with) VALUES ($1, $2, $3, $4)"


async def migrate(
    dsn: str,
    schema: str,
    *,
    migrations: Iterable[Migration] | None = None,
    report: Callable[[str], None] = lambda _line: None,
    connect_seconds: float = 5.0,
) -> int:
    """Apply what is missing, as far as it can be in one transaction; return how many were applied.

    An advisory lock makes replicas that start together take turns. `report` gets a line for each file. A
    login that may not change the schema only looks whether anything is missing; else the roles beside it are
    given what they may do, where they exist. A schema that is newer is left as it is, if it says that this
    release runs with it.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
        MigrationError: An applied file was changed, the schema is too new for this release, others keep a
            table locked, or something is missing that this login may not apply.
    """
    wanted = list(migrations or shipped())
    with translated():
        connection = await asyncpg.connect(dsn, timeout=connect_seconds)
        try:
            if await connection.fetchval(_MAY_ONLY_LOOK, schema):
                await connection.execute(f"SET search_path TO {_quoted(schema)}")
                return await _look(connection, wanted, report)
            await _take_turn(connection, schema)
            async with connection.transaction():
                await _enter_schema(connection, schema)
            applied = await _apply(connection, wanted, report)
            if not await is_newer(connection, wanted):  # a newer release knows better what roles may do
                await admit(connection, schema)
            return applied
        finally:
            await connection.close(timeout=connect_seconds)


async def migrate_when_reachable(
    dsn: str, schema: str, seconds: float, *, report: Callable[[str], None]
) -> int:
    """`migrate`, waiting so long for a database that cannot be reached yet."""
    deadline = monotonic() + seconds
    waiting = False
    while True:
        try:
            return await migrate(dsn, schema, report=report)
        except DatabaseUnavailableError:
            if monotonic() >= deadline:
                raise
            if not waiting:
                report("postgres: cannot be reached yet, waiting")
            waiting = True
            await asyncio.sleep(_RETRY_SECONDS)


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'


async def _take_turn(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    # Not by a statement that waits: an index that another one builds CONCURRENTLY would wait for its end.
    while not await connection.fetchval(_TURN, schema):  # noqa: ASYNC110 - another process holds it
        await asyncio.sleep(_TURN_SECONDS)


async def _enter_schema(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    quoted = _quoted(schema)
    exists = await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
    if not exists:
        await connection.execute(f"CREATE SCHEMA {quoted}")
    await connection.execute(f"SET search_path TO {quoted}")
    await connection.execute(_CREATE_LEDGER)


async def _look(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migrations: list[Migration],
    report: Callable[[str], None],
) -> int:
    todo = await missing(connection, migrations, report)
    if todo:
        raise MigrationError(
            f"migration {todo[0].name} is missing and this login may not apply it: run `python main.py "
            f"migrate` as the schema's owner"
        )
    return 0


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migrations: list[Migration],
    report: Callable[[str], None],
) -> int:
    todo = await missing(connection, migrations, report)
    for alone, files in groupby(todo, key=lambda migration: migration.alone):
        together = list(files)
        if alone:
            for migration in together:
                await _apply_alone(connection, migration)
        else:
            await _apply_together(connection, together)
        for migration in together:
            report(f"applied migration {migration.name}")
    return len(todo)


async def _apply_together(
    connection: "asyncpg.Connection[asyncpg.Record]", migrations: list[Migration]
) -> None:
    for left in reversed(range(_LOCK_TRIES)):
        try:
            async with connection.transaction():
                await connection.execute(_LOCK_TIMEOUT)
                for migration in migrations:
                    await connection.execute(migration.sql)
                    await _note(connection, migration)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if not left:
                raise MigrationError("others keep a table locked: try again when they have ended") from error
            await asyncio.sleep(random.uniform(0.1, 1.0))
        else:
            return


async def _apply_alone(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    for statement in migration.statements:
        await connection.execute(statement)
    await _note(connection, migration)


async def _note(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    await connection.execute(
        _APPLIED, migration.version, migration.name, migration.sha256, migration.runs_with
    )
