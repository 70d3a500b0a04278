"""Migrations: once each, whoever starts, and never an applied file that changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from state.errors import DatabaseUnavailableError
from state.postgres.migrate import Migration, MigrationError, migrate, shipped
from state.postgres.roles import make_logins
from tests.harness.postgres import fresh_database
from tests.integration.tasks.tables import connected

SCHEMA = "orchestrator"
WAITS = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'relation'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@pytest.fixture
async def empty(server_dsn: str) -> AsyncIterator[str]:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        yield dsn


async def test_replicas_that_start_at_once_apply_each_file_once(empty: str) -> None:
    applied = await asyncio.gather(*(migrate(empty, SCHEMA) for _ in range(8)))
    assert sorted(applied) == [0] * 7 + [len(shipped())]


async def test_a_failing_file_leaves_nothing_behind(empty: str) -> None:
    good, *_ = shipped()
    bad = replace(good, version=2, name="0002_bad", sql="CREATE TABLE half (); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty, SCHEMA, migrations=[good, bad])
    assert await migrate(empty, SCHEMA) == len(shipped())


async def test_an_applied_file_may_not_change(empty: str) -> None:
    await migrate(empty, SCHEMA)
    first, *rest = shipped()
    with pytest.raises(MigrationError, match="changed after it was applied"):
        await migrate(empty, SCHEMA, migrations=[replace(first, sql=first.sql + "-- more"), *rest])


async def test_a_schema_of_a_newer_release_is_refused(empty: str) -> None:
    await migrate(empty, SCHEMA)
    with pytest.raises(MigrationError, match="newer than this release"):
        await migrate(empty, SCHEMA, migrations=shipped()[:1])


def newer(runs_with: int | None) -> Migration:
    """The next release's migration."""
    last = shipped()[-1].version
    says = "" if runs_with is None else f"-- Runs with: {runs_with:04}\n"
    return Migration(last + 1, f"{last + 1:04}_newer", says + "CREATE TABLE newer ();")


async def test_a_newer_schema_is_accepted_when_it_says_that_this_release_runs_with_it(empty: str) -> None:
    last = shipped()[-1].version
    await migrate(empty, SCHEMA, migrations=[*shipped(), newer(runs_with=last)])
    lines: list[str] = []
    assert await migrate(empty, SCHEMA, report=lines.append) == 0
    assert lines == [
        f"the schema is at migration {last + 1}, newer than this release, which runs with it",
    ]


@pytest.mark.parametrize("further", [None, 1])
async def test_a_newer_schema_that_wants_a_newer_release_is_refused(empty: str, further: int | None) -> None:
    """It says so, or says nothing."""
    runs_with = None if further is None else shipped()[-1].version + further
    await migrate(empty, SCHEMA, migrations=[*shipped(), newer(runs_with)])
    with pytest.raises(MigrationError, match="install the newer release"):
        await migrate(empty, SCHEMA)


async def test_a_ledger_of_an_older_release_is_extended(empty: str) -> None:
    await migrate(empty, SCHEMA)
    async with connected(empty) as connection:
        await connection.execute("ALTER TABLE orchestrator.schema_migrations DROP COLUMN runs_with")
    last = shipped()[-1].version
    assert await migrate(empty, SCHEMA, migrations=[*shipped(), newer(runs_with=last)]) == 1
    assert await migrate(empty, SCHEMA) == 0


async def test_an_older_release_takes_nothing_that_a_newer_one_has_granted(empty: str) -> None:
    await make_logins(empty, SCHEMA)
    await migrate(empty, SCHEMA, migrations=[*shipped(), newer(runs_with=shipped()[-1].version)])
    async with connected(empty) as connection:
        await connection.execute("GRANT SELECT ON orchestrator.newer TO orchestrator_rpc")
        await migrate(empty, SCHEMA)
        may = "SELECT has_table_privilege('orchestrator_rpc', 'orchestrator.newer', 'SELECT')"
        assert await connection.fetchval(may)


async def test_a_table_that_others_hold_is_waited_for_without_standing_in_their_way(empty: str) -> None:
    """Who waits for a table's lock stops those behind it: a statement of others runs within its patience."""
    await migrate(empty, SCHEMA)
    last = shipped()[-1].version
    adding = Migration(last + 1, "adding", "ALTER TABLE runs ADD COLUMN more text")
    async with connected(empty) as holder, connected(empty) as other:
        reading = holder.transaction()
        await reading.start()
        await holder.execute("LOCK TABLE orchestrator.runs IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(migrate(empty, SCHEMA, migrations=[*shipped(), adding]))
        await blocked(other)
        assert await other.fetchval("SELECT count(*) FROM orchestrator.runs") == 0
        assert not migrating.done()
        await reading.rollback()
        assert await migrating == 1


async def blocked(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return when somebody waits for a lock of a table."""
    async with asyncio.timeout(10):
        while not await connection.fetchval(WAITS):  # noqa: ASYNC110 - only Postgres knows
            await asyncio.sleep(0.01)


async def test_an_index_is_built_outside_a_transaction_while_another_replica_waits_its_turn(
    empty: str,
) -> None:
    await migrate(empty, SCHEMA)
    last = shipped()[-1].version
    index = Migration(
        last + 1,
        "index",
        f"-- Runs with: {last:04}\n-- Outside a transaction\n"
        "DROP INDEX CONCURRENTLY IF EXISTS runs_by_trace;\n"
        "CREATE INDEX CONCURRENTLY runs_by_trace ON runs (traceparent);\n",
    )
    ways = [migrate(empty, SCHEMA, migrations=[*shipped(), index]) for _ in range(4)]
    assert sorted(await asyncio.gather(*ways)) == [0, 0, 0, 1]
    async with connected(empty) as connection:
        assert await connection.fetchval("SELECT to_regclass('orchestrator.runs_by_trace') IS NOT NULL")


async def test_two_schemas_of_one_database_do_not_meet(empty: str) -> None:
    assert await migrate(empty, "one") == await migrate(empty, "two") == len(shipped())


WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_row_security_waits_for_who_is_at_work_and_nobody_for_it(empty: str) -> None:
    """It takes every table at once, and whoever is at work has some already and wants others."""
    await migrate(empty, SCHEMA, migrations=shipped()[:23])
    watch = await asyncpg.connect(empty)
    work = await asyncpg.connect(empty, server_settings={"search_path": SCHEMA})
    try:
        async with work.transaction():
            await work.execute("SELECT FROM runs")
            migrating = asyncio.create_task(migrate(empty, SCHEMA))
            async with asyncio.timeout(20):
                while not await watch.fetchval(WAITS):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                for table in ("permissions", "run_events", "checkpoints", "outbox", "agent_versions"):
                    await work.execute(f"SELECT FROM {table}")
            assert not migrating.done()
        assert await migrating == len(shipped()) - 23
    finally:
        await work.close()
        await watch.close()


async def test_each_file_is_reported_as_it_is_applied(empty: str) -> None:
    lines: list[str] = []
    await migrate(empty, SCHEMA, report=lines.append)
    assert lines == [f"applied migration {migration.name}" for migration in shipped()]


async def test_a_server_out_of_reach_is_our_own_error() -> None:
    with pytest.raises(DatabaseUnavailableError):
        await migrate("postgresql://nobody:nothing@127.0.0.1:1/nowhere", SCHEMA)
