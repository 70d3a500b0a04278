"""One world for all cases of a file: to furnish it takes longer than to ask a hundred times."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.postgres import fresh_database
from tests.isolation.asking import Asking, open_asking
from tests.isolation.world import open_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(server_dsn: str) -> AsyncIterator[Asking]:
    """A service without authentication: who calls says who it is."""
    async with fresh_database(server_dsn) as dsn, open_world(dsn) as world, open_asking(world) as asking:
        yield asking
