"""Bring a schema up to date, safely with any number of processes doing so at once."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from time import monotonic

import asyncpg

from state.errors import DatabaseUnavailableError
from state.postgres.database import translated
from state.postgres.roles import admit

_RETRY_SECONDS = 0.5

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
)
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file. `sha256` is of its text: an applied file may never change."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations in this release, in order."""
    folder = resources.files("state.postgres") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(int(f.name[:4]), f.name[:-4], f.read_text(encoding="utf-8")) for f in files]


async def migrate(
    dsn: str,
    schema: str,
    *,
    migrations: Iterable[Migration] | None = None,
    report: Callable[[str], None] = lambda _line: None,
    connect_seconds: float = 5.0,
) -> int:
    """Apply what is missing, in one transaction; return how many were applied.

    An advisory lock makes replicas that start together take turns. `report` gets a line for each file. A
    login that may not change the schema only looks whether anything is missing; else the roles beside it are
    given what they may do, where they exist.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
        MigrationError: An applied file was changed, the schema is newer than this release, or something is
            missing that this login may not apply.
    """
    wanted = list(migrations or shipped())
    with translated():
        connection = await asyncpg.connect(dsn, timeout=connect_seconds)
        try:
            if await connection.fetchval(_MAY_ONLY_LOOK, schema):
                await connection.execute(f"SET search_path TO {_quoted(schema)}")
                return await _look(connection, wanted)
            # Of the session: the roles are admitted after the transaction, a table at a time.
            await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", schema)
            async with connection.transaction():
                await _enter_schema(connection, schema)
                applied = await _apply(connection, wanted, report)
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


async def _enter_schema(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    quoted = _quoted(schema)
    exists = await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
    if not exists:
        await connection.execute(f"CREATE SCHEMA {quoted}")
    await connection.execute(f"SET LOCAL search_path TO {quoted}")
    await connection.execute(_CREATE_LEDGER)


async def _missing(
    connection: "asyncpg.Connection[asyncpg.Record]", migrations: list[Migration]
) -> list[Migration]:
    rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migrations")
    applied = {row["version"]: row for row in rows}
    unknown = applied.keys() - {m.version for m in migrations}
    if unknown:
        raise MigrationError(
            f"the schema is at migration {max(unknown)}, newer than this release: install the newer release"
        )
    for migration in migrations:
        row = applied.get(migration.version)
        if row is not None and row["sha256"] != migration.sha256:
            raise MigrationError(f"migration {migration.name} was changed after it was applied")
    return [m for m in migrations if m.version not in applied]


async def _look(connection: "asyncpg.Connection[asyncpg.Record]", migrations: list[Migration]) -> int:
    missing = await _missing(connection, migrations)
    if missing:
        raise MigrationError(
            f"migration {missing[0].name} is missing and this login may not apply it: run `python main.py "
            f"migrate` as the schema's owner"
        )
    return 0


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migrations: list[Migration],
    report: Callable[[str], None],
) -> int:
    missing = await _missing(connection, migrations)
    for migration in missing:
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.sha256,
        )
        report(f"applied migration {migration.name}")
    return len(missing)
