"""A connection that is old enough takes no new calls, and lets those it has go on."""

import asyncio

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.proxy import TcpProxy
from tests.harness.service import running_service, text_of
from tests.harness.statuses import error_info
from tests.integration.transport.callers import Caller, calling, failure_of, hold, rest_of


async def another_connection(caller: Caller, proxy: TcpProxy) -> None:
    """Call until a call has taken a second connection."""
    async with asyncio.timeout(5):
        while proxy.connections < 2:
            await caller.stub.HealthCheck(pb.HealthCheckRequest())
            await asyncio.sleep(0.02)


async def test_a_stream_outlives_the_age_of_its_connection_and_the_next_call_takes_another(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with (
        running_service(dsn, provider, server={"connection_age_seconds": 0.3}) as service,
        TcpProxy("127.0.0.1", service.port) as proxy,
        calling(proxy.port) as caller,
    ):
        held = await hold(service, caller.stub)
        await another_connection(caller, proxy)
        held.upstream.release()
        assert text_of(await rest_of(held.stream)) == " two"


@pytest.mark.parametrize("age", [0.0, 30.0], ids=["no age", "a great age"])
async def test_a_connection_stays_until_its_age(dsn: str, provider: ScriptedProvider, age: float) -> None:
    async with (
        running_service(dsn, provider, server={"connection_age_seconds": age}) as service,
        TcpProxy("127.0.0.1", service.port) as proxy,
        calling(proxy.port) as caller,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await another_connection(caller, proxy)


async def test_a_stream_on_an_old_connection_ends_by_its_own_limit_and_says_so(
    dsn: str, provider: ScriptedProvider
) -> None:
    settings = {"connection_age_seconds": 0.1, "stream_seconds": 0.5}
    async with running_service(dsn, provider, server=settings) as service, calling(service.port) as caller:
        error = await failure_of((await hold(service, caller.stub)).stream)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_info(error).reason == "DEADLINE_EXCEEDED"
