"""Bring the backend's schema up to date, safely with any number of processes doing so at once."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from backend.store.database import CLOSE_SECONDS, CONNECT_SECONDS, SCHEMA, quoted, translated
from backend.store.errors import MigrationError

if TYPE_CHECKING:
    Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file NNNN_name.sql. An applied one may never change."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations of this release by number: documents and rooms 1-9, web 10-19, org 20-29."""
    folder = resources.files("backend.store") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(int(f.name[:4]), f.name[:-4], f.read_text(encoding="utf-8")) for f in files]


async def migrate(dsn: str, *, schema: str = SCHEMA, migrations: Iterable[Migration] | None = None) -> int:
    """Apply what is missing, in one transaction; how many there were.

    Each part has numbers of its own, so one with a lower number may come after one with a higher.

    Raises:
        StoreUnavailableError: Postgres is out of reach.
        MigrationError: An applied file was changed, two have one number, or the schema is newer than we are.
    """
    wanted = list(shipped() if migrations is None else migrations)
    if len({one.version for one in wanted}) < len(wanted):
        raise MigrationError("two migrations have the same number")
    with translated():
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", schema)
                await _enter(connection, schema)
                return await _apply(connection, wanted)
        finally:
            await connection.close(timeout=CLOSE_SECONDS)


async def _enter(connection: "Session", schema: str) -> None:
    # Asked first: IF NOT EXISTS demands the right to create even where there is nothing to do.
    if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema):
        await connection.execute(f"CREATE SCHEMA {quoted(schema)}")
    await connection.execute(f"SET LOCAL search_path TO {quoted(schema)}, public")
    await connection.execute(_LEDGER)


async def _apply(connection: "Session", wanted: list[Migration]) -> int:
    rows = await connection.fetch("SELECT version, sha256 FROM schema_migrations")
    applied = {row["version"]: row["sha256"] for row in rows}
    if unknown := applied.keys() - {one.version for one in wanted}:
        raise MigrationError(f"the schema has migration {max(unknown)}, which this release does not know")
    for one in wanted:
        if applied.get(one.version, one.sha256) != one.sha256:
            raise MigrationError(f"migration {one.name} was changed after it was applied")
    missing = [one for one in wanted if one.version not in applied]
    for one in missing:
        await connection.execute(one.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            one.version,
            one.name,
            one.sha256,
        )
    return len(missing)
