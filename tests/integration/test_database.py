"""The pool of connections: it heals, and its waits are bounded."""

import asyncio

import pytest

from state.errors import (
    DatabaseUnavailableError,
)
from state.postgres.database import Database
from tests.harness.proxy import TcpProxy


async def test_a_cut_connection_is_our_own_error_and_the_pool_heals(dsn: str) -> None:
    async with TcpProxy.to(dsn) as proxy, Database(proxy.dsn, schema="orchestrator", pool_size=2) as database:
        await proxy.cut()
        for _ in range(3):
            with pytest.raises(DatabaseUnavailableError):
                await database.probe()
        await proxy.restore()
        await database.probe()


async def test_the_wait_for_a_free_connection_is_bounded(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1, acquire_seconds=0.1) as database:
        async with database.connection():
            with pytest.raises(DatabaseUnavailableError):
                await database.probe()
        await database.probe()


async def test_a_statement_that_takes_too_long_is_our_own_error(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1, statement_seconds=0.2) as database:
        with pytest.raises(DatabaseUnavailableError):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
        await database.probe()


async def test_a_kept_connection_is_one_and_made_anew_when_it_was_lost(dsn: str) -> None:
    async with TcpProxy.to(dsn) as proxy, Database(proxy.dsn, schema="orchestrator", pool_size=1) as database:
        kept = database.keep()
        before = proxy.connections
        for _ in range(3):
            assert [row[0] for row in await kept.fetch("SELECT $1::text", "here")] == ["here"]
        assert proxy.connections == before + 1
        await proxy.cut()
        for _ in range(3):
            with pytest.raises(DatabaseUnavailableError):
                await kept.fetch("SELECT 1")
        await proxy.restore()
        assert len(await kept.fetch("SELECT 1")) == 1


async def test_a_kept_connection_that_is_at_a_statement_is_not_used_again(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        kept = database.keep()
        [(first,)] = await kept.fetch("SELECT pg_backend_pid()")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kept.fetch("SELECT pg_sleep(10)"), 0.1)
        [(second,)] = await kept.fetch("SELECT pg_backend_pid()")
        assert first != second


async def test_a_kept_connection_ends_with_its_database_and_needs_none_of_the_pool(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        kept = database.keep()
        async with database.connection():
            await kept.fetch("SELECT 1")
    with pytest.raises(DatabaseUnavailableError):
        await kept.fetch("SELECT 1")


@pytest.mark.parametrize("state", ["53100", "53200", "58030", "58P01", "57P05", "25006"])
async def test_a_database_that_can_do_nothing_now_is_away(dsn: str, state: str) -> None:
    """Its disk is full, it has no memory, its disk fails, misses a file, lets go, or is a standby."""
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        with pytest.raises(DatabaseUnavailableError):
            async with database.connection() as connection:
                await connection.execute(
                    f"DO $$ BEGIN RAISE EXCEPTION 'out of order' USING ERRCODE = '{state}'; END $$"
                )
        await database.probe()
