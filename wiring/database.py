"""The database before anything uses it: up to date, and with a login for each kind of work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.command_line import say
from config.settings import Settings
from state.embedded.server import EmbeddedPostgres
from state.postgres.migrate import migrate_when_reachable
from state.postgres.roles import Logins, check_callers, make_logins
from wiring.deaths import Deaths


@asynccontextmanager
async def database_of(settings: Settings, deaths: Deaths) -> AsyncIterator[str]:
    """The address of the configured Postgres, or of our own, which runs inside the block."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    say(f"postgres: starting our own in {settings.embedded.folder}")
    async with EmbeddedPostgres(settings.embedded.folder, on_progress=say) as postgres:
        deaths["the embedded Postgres"] = postgres.died
        yield postgres.dsn


async def bring_up_to_date(settings: Settings, dsn: str) -> int:
    """Apply missing migrations, once the database can be reached."""
    seconds = settings.database.connect_seconds
    return await migrate_when_reachable(dsn, settings.database.schema_name, seconds, report=say)


async def logins_of(settings: Settings, dsn: str) -> Logins:
    """Bring the database up to date, and say by which logins it is used: our own gets two that are guarded.

    Raises:
        RolesError: The configured login of callers is not bound by row-level security.
    """
    schema = settings.database.schema_name
    if settings.database_url is None:
        logins = await make_logins(dsn, schema)
    else:
        second = settings.database.callers_url
        logins = Logins(dsn, second.get_secret_value() if second else None)
    await bring_up_to_date(settings, dsn)
    if logins.callers is None:
        say("postgres: one login for all, so row-level security guards nothing; see docs/database-roles.md")
    else:
        await check_callers(logins.callers, schema)
    return logins
