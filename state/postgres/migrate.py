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

_RETRY_SECONDS = 0.5

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

    An advisory lock makes replicas that start together take turns. `report` gets a line for each file.

    Raises:
        DatabaseUnavailableError: Postgres is out of reach.
        MigrationError: An applied file was changed, or the schema is newer than this release.
    """
    with translated():
        connection = await asyncpg.connect(dsn, timeout=connect_seconds)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", schema)
                await _enter_schema(connection, schema)
                return await _apply(connection, list(migrations or shipped()), report)
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


async def _enter_schema(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
    exists = await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
    if not exists:
        await connection.execute(f"CREATE SCHEMA {quoted}")
    await connection.execute(f"SET LOCAL search_path TO {quoted}")
    await connection.execute(_CREATE_LEDGER)


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migrations: list[Migration],
    report: Callable[[str], None],
) -> int:
    rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migrations")
    applied = {row["version"]: row for row in rows}
    unknown = applied.keys() - {m.version for m in migrations}
    if unknown:
        raise MigrationError(
            f"the schema is at migration {max(unknown)}, newer than this release: install the newer release"
        )
    missing = [m for m in migrations if m.version not in applied]
    for migration in migrations:
        row = applied.get(migration.version)
        if row is not None and row["sha256"] != migration.sha256:
            raise MigrationError(f"migration {migration.name} was changed after it was applied")
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
