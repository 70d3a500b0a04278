"""A Postgres that keeps what it has acknowledged through a power cut, as users have it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.postgres import SessionPostgres, fresh_database


@pytest.fixture(scope="session")
def durable_server_dsn() -> Iterator[str]:
    with SessionPostgres(fsync="on") as postgres:
        yield postgres.dsn


@pytest.fixture
async def durable_dsn(durable_server_dsn: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with fresh_database(durable_server_dsn) as dsn:
        yield dsn
