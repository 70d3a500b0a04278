"""Browsers, and a backend in front of the whole service with a local path to the same provider."""

from collections.abc import AsyncIterator

import pytest

from tests.backend.first.reading import Browser, Browsers
from tests.backend.first.running import Running, running_backend, settings_of
from tests.harness.service import Service


@pytest.fixture
async def backend(service: Service) -> AsyncIterator[Running]:
    """Everybody goes to the orchestrator."""
    settings = settings_of(f"127.0.0.1:{service.port}", local={"base_url": service.provider.base_url})
    async with running_backend(settings) as backend:
        yield backend


@pytest.fixture
async def away() -> AsyncIterator[Running]:
    """A backend whose orchestrator cannot be reached."""
    async with running_backend(settings_of()) as backend:
        yield backend


@pytest.fixture
def ann(browsers: Browsers, backend: Running) -> Browser:
    return browsers.at(backend.address)


@pytest.fixture
def bob(browsers: Browsers, backend: Running) -> Browser:
    return browsers.at(backend.address, "bob")


@pytest.fixture
def root(browsers: Browsers, backend: Running) -> Browser:
    return browsers.at(backend.address, "root")
