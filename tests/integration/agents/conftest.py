"""A service whose agents use the tools of a scripted backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import tooled

SHAPES = Path(__file__).parent / "catalog"


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    async with tooled(dsn, provider, backend) as service:
        yield service


@pytest.fixture
async def shapes(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    """One agent of each shape."""
    async with tooled(dsn, provider, backend, catalog=SHAPES) as service:
        yield service
