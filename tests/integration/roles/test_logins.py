"""How the two logins come to be, and what is said of those that somebody else has made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from config.settings import Settings
from state.errors import DatabaseUnavailableError
from state.postgres.database import Database
from state.postgres.migrate import MigrationError, migrate, shipped
from state.postgres.roles import Logins, RolesError, check_callers, logins_beside, make_logins, roles_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import SCHEMA, fresh_database, logins_to
from tests.harness.service import running_service
from tests.integration.roles.rows import ANN
from wiring.database import logins_of


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def as_user(dsn: str, name: str, password: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))


@asynccontextmanager
async def login(dsn: str, name: str, *attributes: str) -> AsyncIterator[str]:
    """A role of one test's own: roles are the whole cluster's."""
    await execute(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'p' {' '.join(attributes)}")
    try:
        yield as_user(dsn, name, "p")
    finally:
        await execute(
            dsn, f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}"
        )


def test_roles_are_named_after_their_schema_and_their_names_fit() -> None:
    assert roles_of("orchestrator") == ("orchestrator_rpc", "orchestrator_worker")
    long = [roles_of("x" * 62 + end) for end in "ab"]
    names = {name for roles in long for name in roles}
    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)


async def test_logins_are_made_once_by_however_many_starts(dsn: str) -> None:
    schema = "at_once"
    try:
        made = await asyncio.gather(*(make_logins(dsn, schema) for _ in range(6)))
        assert set(made) == {logins_beside(dsn, schema)}
        await asyncio.gather(*(migrate(dsn, schema) for _ in range(4)))
        assert made[0].callers is not None
        await check_callers(made[0].callers, schema)
    finally:
        for role in roles_of(schema):
            await execute(dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_a_login_whose_password_is_another_one_gets_ours_back(dsn: str) -> None:
    schema = "restored"
    try:
        logins = await make_logins(dsn, schema)
        await execute(dsn, f"ALTER ROLE {roles_of(schema).callers} PASSWORD 'another'")
        assert logins.callers is not None
        with pytest.raises(DatabaseUnavailableError):
            await check_callers(logins.callers, schema)
        assert await make_logins(dsn, schema) == logins
        await migrate(dsn, schema)
        await check_callers(logins.callers, schema)
    finally:
        for role in roles_of(schema):
            await execute(dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_the_logins_of_one_schema_see_nothing_of_another(dsn: str) -> None:
    await migrate(dsn, "beside")
    for login in logins_to(dsn):
        assert login is not None
        async with Database(login, schema="beside", pool_size=1) as database:
            with pytest.raises(asyncpg.UndefinedTableError):  # the search path leaves out what it may not use
                await database.asked("SELECT 1 FROM runs WHERE $1 <> ''", ANN)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.asked("SELECT 1 FROM beside.runs WHERE $1 <> ''", ANN)


async def test_each_start_takes_away_what_was_granted_beside(dsn: str) -> None:
    await execute(dsn, "GRANT ALL ON orchestrator.effects, orchestrator.runs TO orchestrator_rpc")
    await execute(dsn, "DROP POLICY all_for_the_worker ON orchestrator.runs")
    await migrate(dsn, SCHEMA)
    logins = logins_to(dsn)
    assert logins.callers is not None
    async with Database(logins.callers, schema=SCHEMA, pool_size=1) as database:
        for statement in ("SELECT FROM effects WHERE $1 <> ''", "SELECT FROM replicas WHERE $1 <> ''"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.asked(statement, ANN)
    async with Database(logins.work, schema=SCHEMA, pool_size=1) as database, database.connection() as worker:
        active = "SELECT relname FROM pg_class WHERE relname = 'runs' AND row_security_active(oid)"
        assert len(await worker.fetch(active)) == 1  # the worker is no owner and no superuser
        await worker.execute("INSERT INTO outbox (owner, type) VALUES ('zoe', 'x')")
        assert await worker.fetchval("SELECT owner FROM outbox") == "zoe"
        for forbidden in ("DROP TABLE runs", "ALTER TABLE runs DISABLE ROW LEVEL SECURITY", "TRUNCATE runs"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await worker.execute(forbidden)


def configured(dsn: str, callers: str | None = None) -> Settings:
    values = {"database_url": dsn, "database": {"callers_url": callers}}
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


async def test_one_login_for_all_is_said_in_one_line(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await logins_of(configured(dsn), dsn) == (dsn, None)
    assert capsys.readouterr().out.count("row-level security guards nothing") == 1
    callers = logins_to(dsn).callers
    assert await logins_of(configured(dsn, callers), dsn) == (dsn, callers)
    assert "row-level security" not in capsys.readouterr().out


async def test_a_login_of_callers_that_passes_row_level_security_is_refused(dsn: str) -> None:
    with pytest.raises(RolesError, match="does not bind"):
        await logins_of(configured(dsn, dsn), dsn)
    async with login(dsn, "unbound", "BYPASSRLS", "IN ROLE orchestrator_rpc") as unbound:
        with pytest.raises(RolesError, match="does not bind"):
            await check_callers(unbound, SCHEMA)
    async with login(dsn, "stranger") as stranger:
        with pytest.raises(RolesError, match="may not read"):
            await check_callers(stranger, SCHEMA)
    async with login(dsn, "member", "IN ROLE orchestrator_rpc") as member:
        await check_callers(member, SCHEMA)


async def test_who_may_not_change_the_schema_says_so_when_something_is_missing(server_dsn: str) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        await migrate(dsn, SCHEMA, migrations=shipped()[:-1])
        worker = logins_to(dsn).work
        with pytest.raises(MigrationError, match="as the schema's owner"):
            await migrate(worker, SCHEMA)
        await migrate(dsn, SCHEMA)
        assert await migrate(worker, SCHEMA) == 0


async def test_an_owner_that_is_no_superuser_migrates_and_its_single_login_works_on(
    server_dsn: str, provider: ScriptedProvider
) -> None:
    """As on a managed Postgres, and as an older version of the service uses the new schema."""
    async with fresh_database(server_dsn, migrated=False) as dsn, login(dsn, "plain_owner") as plain:
        await execute(dsn, f'GRANT CREATE ON DATABASE "{urlsplit(dsn).path[1:]}" TO plain_owner')
        await migrate(plain, SCHEMA)
        logins = logins_to(dsn)
        assert logins.callers is not None
        await check_callers(logins.callers, SCHEMA)
        for each in (Logins(plain, None), logins, Logins(plain, logins.callers)):
            async with running_service(dsn, provider, logins=each) as service:
                chunks = await service.chat(conversation_id="one")
                assert chunks[-1].WhichOneof("payload") == "complete"
        async with Database(plain, schema=SCHEMA, pool_size=1) as database, database.connection() as owner:
            assert await owner.fetchval("SELECT count(*) FROM runs") == 3
