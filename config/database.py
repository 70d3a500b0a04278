"""Postgres: another one, or our own."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from config.address import postgres_url
from config.group import MAX_SECONDS, Group


class DatabaseSettings(Group):
    """How Postgres is used."""

    schema_name: str = Field(
        default="orchestrator",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="schema of our own that all tables live in; never public",
    )
    callers_url: SecretStr | None = Field(
        default=None,
        description="second login to the same database, bound by row-level security, for what callers ask; "
        "empty = DATABASE_URL for all",
    )
    pool_size: int = Field(
        default=4, ge=1, le=100, description="connections of one process, as many for a second login"
    )
    acquire_seconds: float = Field(
        default=5.0, gt=0, description="longest wait for a free connection, seconds"
    )
    statement_seconds: float = Field(default=15.0, gt=0, description="longest a statement may take, seconds")
    outage_seconds: float = Field(
        default=30.0,
        ge=0,
        le=MAX_SECONDS,
        description="how long running answers and their readers outlast a database that is away, seconds",
    )
    connect_seconds: float = Field(
        default=30.0,
        ge=0,
        description="how long a start waits for a database that cannot be reached, seconds",
    )

    @field_validator("callers_url")
    @classmethod
    def _speaks_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        return postgres_url(url)

    @field_validator("schema_name")
    @classmethod
    def _is_of_our_own(cls, name: str) -> str:
        if name == "public" or name.startswith("pg_"):
            raise ValueError("must be a schema of our own")
        return name


class EmbeddedSettings(Group):
    """What runs without anything being configured."""

    folder: Path = Field(default=Path(".data"), description="where the embedded Postgres keeps its data")
