"""A backend that follows scripts, and a gateway to it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import ANN, Told, context, options
from tests.integration.tools.describing import LIMITS, Count, described, spec
from tests.unit.gate.manual_time import ManualTime
from tools.base import ToolOutcome
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
async def gateway(backend: FakeToolService) -> AsyncIterator[ToolGateway]:
    async with ToolGateway(options(backend.address)) as gateway:
        yield gateway


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def source(gateway: ToolGateway, time: ManualTime) -> Described:
    return Described(gateway, LIMITS, taken={"calculator"}, clock=time.clock)


@pytest.fixture
def count(backend: FakeToolService, source: Described) -> Count:
    """Calls the tool `count` with n = 1, unless said."""

    async def call(told: Told | None = None, arguments: Any = None, **fields: Any) -> ToolOutcome:
        tool = next(tool for tool in await source.offered(ANN))
        arguments = {"n": 1} if arguments is None else arguments
        return await source.call(tool, arguments, context(**fields), told or Told())

    backend.default("DescribeTools", described(spec()))
    return call
