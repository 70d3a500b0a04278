"""A session to the provider, as the service opens it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from providers.http.session import open_session


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session
