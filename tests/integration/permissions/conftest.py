"""The stores of questions on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from state.postgres.database import Database
from tests.harness.questions import Desk
from tests.harness.service import Service
from tests.integration.permissions.asking import Office, office_of


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    async with Database(dsn, schema="orchestrator", pool_size=6) as database:
        yield Desk.on(database)


@pytest.fixture
async def office(service: Service) -> AsyncIterator[Office]:
    """A service, and the stores beside it."""
    async with office_of(service) as office:
        yield office
