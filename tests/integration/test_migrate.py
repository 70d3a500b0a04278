"""Migrations: once each, whoever starts, and never an applied file that changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from state.errors import DatabaseUnavailableError
from state.postgres.migrate import MigrationError, migrate, shipped
from tests.harness.postgres import fresh_database

SCHEMA = "orchestrator"


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
