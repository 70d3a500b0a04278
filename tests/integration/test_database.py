"""The pool of connections: it heals, and its waits are bounded."""

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
