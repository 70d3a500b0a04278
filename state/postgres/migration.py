"""A migration as a file, and which of them a schema lacks.

What stands in comments of a file:
    -- Runs with: 0023          releases that know the migrations up to that one run with the schema after it
    -- Outside a transaction    each statement is one of its own, as CREATE INDEX CONCURRENTLY has to be
Without the first a release that lacks the file refuses the schema.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import asyncpg

_RUNS_WITH = re.compile(r"^-- Runs with: (\d{4})$", re.MULTILINE)
_ALONE = re.compile(r"^-- Outside a transaction$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)

# A schema that an older release has made has no such column.
_LEDGER = """
SELECT version, name, sha256, coalesce((to_jsonb(m) ->> 'runs_with')::integer, version) AS runs_with
FROM schema_migrations m
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

    @property
    def runs_with(self) -> int:
        """The last migration of the oldest release that runs with the schema after this one."""
        found = _RUNS_WITH.search(self.sql)
        return int(found[1]) if found else self.version

    @property
    def alone(self) -> bool:
        """Whether it cannot be part of a transaction."""
        return _ALONE.search(self.sql) is not None

    @property
    def statements(self) -> list[str]:
        """Each by itself; a semicolon at the end of a line ends one."""
        parts = re.split(r";\s*$", _COMMENT.sub("", self.sql), flags=re.MULTILINE)
        return [part.strip() for part in parts if part.strip()]


def shipped() -> list[Migration]:
    """The migrations in this release, in order."""
    folder = resources.files("state.postgres") / "migrations"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(int(f.name[:4]), f.name[:-4], f.read_text(encoding="utf-8")) for f in files]


async def missing(
    connection: "asyncpg.Connection[asyncpg.Record]",
    migrations: Sequence[Migration],
    report: Callable[[str], None],
) -> list[Migration]:
    """Those that are to be applied to the schema of the search path, in order.

    Raises:
        MigrationError: An applied file was changed, or the schema is too new for this release.
    """
    applied = {row["version"]: row for row in await connection.fetch(_LEDGER)}
    newest = max(migration.version for migration in migrations)
    unknown = applied.keys() - {migration.version for migration in migrations}
    if unknown:
        at = f"the schema is at migration {max(unknown)}, newer than this release"
        needed = max(applied[version]["runs_with"] for version in unknown)
        if needed > newest or min(unknown) < newest:
            raise MigrationError(f"{at}: install the newer release")
        report(f"{at}, which runs with it")
    for migration in migrations:
        row = applied.get(migration.version)
        if row is not None and row["sha256"] != migration.sha256:
            raise MigrationError(f"migration {migration.name} was changed after it was applied")
    return [migration for migration in migrations if migration.version not in applied]


async def is_newer(connection: "asyncpg.Connection[asyncpg.Record]", migrations: Sequence[Migration]) -> bool:
    """Whether the schema of the search path has a migration after the last of these."""
    last: int = await connection.fetchval("SELECT max(version) FROM schema_migrations")
    return last > migrations[-1].version
