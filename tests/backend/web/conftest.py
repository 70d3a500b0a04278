"""The tools as they are served, over strangers' servers that are ours and names that lead to them.

127.0.0.2 stands for the public web: it alone is on the allow-list. 127.0.0.1 stands for what must not be
reached; servers are at both, on the same port.
"""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from backend.store.database import Database
from backend.store.migrate import migrate
from backend.tools.crawl.addresses import Allowed, Guard
from backend.tools.crawl.fetcher import Fetcher, FetchOptions
from tests.backend.web.serving import PUBLIC
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer, web_server
from tests.harness.postgres import fresh_database


@pytest.fixture
async def site() -> AsyncIterator[WebServer]:
    """A server of the public web."""
    async with web_server(PUBLIC) as server:
        yield server


@pytest.fixture
async def inside(site: WebServer) -> AsyncIterator[WebServer]:
    """A server that nobody may reach, on the same port."""
    async with web_server("127.0.0.1", site.port) as server:
        yield server


@pytest.fixture
def names() -> FakeNames:
    return FakeNames(**{"site.example": PUBLIC})


@pytest.fixture
def guard(site: WebServer) -> Guard:
    """Takes the port for a usual one, and one address for public."""
    return Guard(ports=(80, 443, site.port), allowed=[Allowed(ip_network(PUBLIC))])


@pytest.fixture
async def fetcher(guard: Guard, names: FakeNames) -> AsyncIterator[Fetcher]:
    async with Fetcher(guard, names, FetchOptions(max_bytes=256 << 10, seconds=10.0)) as fetcher:
        yield fetcher


@pytest.fixture
async def backend_dsn(server_dsn: str) -> AsyncIterator[str]:
    """A database of the test's own with the backend's schema."""
    async with fresh_database(server_dsn, migrated=False) as dsn:
        await migrate(dsn)
        yield dsn


@pytest.fixture
async def database(backend_dsn: str) -> AsyncIterator[Database]:
    async with Database(backend_dsn) as database:
        yield database
