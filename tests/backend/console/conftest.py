"""One world for all tests of the page: a browser and a service take seconds to start."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.backend.console.world import World, open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world(server_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(server_dsn, tmp_path_factory.mktemp("console")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def world(shared_world: World) -> World:
    """The shared one, with nothing left of the test before."""
    shared_world.provider.reset()
    shared_world.shelf.documents.clear()
    shared_world.shelf.written.clear()
    return shared_world
