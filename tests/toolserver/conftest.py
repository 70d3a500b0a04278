"""A server with recording handlers, the service's own gateway to it, and a bare channel."""

from collections.abc import AsyncIterator

import grpc
import pytest

from llm_orchestrator_client.tool_service import BearerTokens, ToolServiceServer
from tests.harness.tools import options
from tests.toolserver.backend import ANYWHERE, TOKEN, Recording
from tools.gateway.gateway import ToolGateway


@pytest.fixture
def backend() -> Recording:
    return Recording()


@pytest.fixture
async def server(backend: Recording) -> AsyncIterator[ToolServiceServer]:
    async with ToolServiceServer(backend, ANYWHERE, authenticator=BearerTokens.of(TOKEN)) as server:
        yield server


@pytest.fixture
async def gateway(server: ToolServiceServer) -> AsyncIterator[ToolGateway]:
    async with ToolGateway(options(server.address, token=TOKEN)) as gateway:
        yield gateway


@pytest.fixture
async def channel(server: ToolServiceServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel
