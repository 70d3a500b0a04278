"""A broker for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from state.postgres.database import Database
from tests.harness.kafka import MockBroker


@pytest.fixture
def broker() -> Iterator[MockBroker]:
    broker = MockBroker()
    yield broker
    broker.close()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database
