"""The stores of questions on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from state.postgres.database import Database
from tests.harness.questions import Desk


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    async with Database(dsn, schema="orchestrator", pool_size=6) as database:
        yield Desk.on(database)
