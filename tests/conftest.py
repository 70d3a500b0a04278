"""The session's Postgres and the fixtures every test may ask for."""

import os
from collections.abc import AsyncIterator

import pytest

from config.names import variables
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import SessionPostgres, fresh_database
from tests.harness.service import Service, running_service

for _variable in variables():
    # Whoever runs the tests may have a provider's key or a database in the environment.
    os.environ.pop(_variable.name, None)

_POSTGRES = pytest.StashKey[SessionPostgres]()
_WORKER_KEY = "postgres_dsn"


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start one server for all workers, in the process that starts them."""
    if not _is_worker(session.config) and not session.config.option.collectonly:
        session.config.stash[_POSTGRES] = SessionPostgres().__enter__()


def pytest_configure_node(node: object) -> None:
    """Tell a worker where the server is."""
    node.workerinput[_WORKER_KEY] = node.config.stash[_POSTGRES].dsn  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    postgres = config.stash.get(_POSTGRES, None)
    if postgres is not None:
        postgres.__exit__(None, None, None)


@pytest.fixture(scope="session")
def server_dsn(request: pytest.FixtureRequest) -> str:
    """The session's Postgres server."""
    if _is_worker(request.config):
        return str(request.config.workerinput[_WORKER_KEY])  # type: ignore[attr-defined]
    return request.config.stash[_POSTGRES].dsn


@pytest.fixture
async def dsn(server_dsn: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with fresh_database(server_dsn) as dsn:
        yield dsn


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
async def second() -> AsyncIterator[ScriptedProvider]:
    """One more, beside `provider`."""
    async with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    """The whole service with default settings."""
    async with running_service(dsn, provider) as service:
        yield service
