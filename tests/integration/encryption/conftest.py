"""A backend whose tools an agent may use."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.tool_service.service import FakeToolService


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend
