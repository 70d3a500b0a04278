"""A service whose agents use the tools of a scripted backend."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import tooled


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    async with tooled(dsn, provider, backend) as service:
        yield service
