"""A backend that follows scripts, and a gateway to it."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import options
from tools.gateway.gateway import ToolGateway


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
async def gateway(backend: FakeToolService) -> AsyncIterator[ToolGateway]:
    async with ToolGateway(options(backend.address)) as gateway:
        yield gateway
