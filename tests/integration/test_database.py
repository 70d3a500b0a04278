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


async def test_a_connection_stays_at_hand_for_who_is_next(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=3) as database:
        assert await backend(database) == await backend(database) == await backend(database)
        assert database.connections == (3, 0)
        async with database.connection() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            assert await backend(database) != first
            assert database.connections == (3, 1)


async def test_who_waits_gets_a_connection_before_who_comes_later(dsn: str) -> None:
    order: list[int] = []

    async def take(number: int) -> None:
        async with database.connection():
            order.append(number)

    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        async with database.connection():
            waiting = [asyncio.create_task(take(number)) for number in range(4)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting, take(4))
    assert order == [0, 1, 2, 3, 4]


async def test_what_a_block_left_open_or_broken_is_in_nobodys_hand(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        async with database.connection() as connection:
            await connection.execute("BEGIN")
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            cut = await connection.fetchval("SELECT pg_backend_pid()")
            connection.terminate()
        assert await backend(database) != cut
        with pytest.raises(DatabaseUnavailableError):
            async with database.connection() as connection, asyncio.timeout(0.1):
                await connection.execute("SELECT pg_sleep(10)")
        assert await backend(database)


async def backend(database: Database) -> int:
    """Which of its connections the pool gives."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


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
