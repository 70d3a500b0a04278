"""Deadlines, cancellation, health, reflection, and how the server stops."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from llm_orchestrator_client.tool_service import (
    AddressInUseError,
    BearerTokens,
    Call,
    ServerOptions,
    ToolServiceServer,
)
from tests.harness.tools import call as call_tool
from tests.harness.tools import options
from tests.toolserver.backend import ANYWHERE, TOKEN, Recording, empty_answer
from tests.toolserver.calling import ask, refused
from tools.gateway.gateway import ToolGateway

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAME = "tool_service.ToolService"


class Held:
    """A handler that waits until it is released, and says how it ended."""

    def __init__(self, backend: Recording) -> None:
        self.begun, self.release, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.cancelled = False
        self.calls: list[Call] = []
        backend.answers["search_web"] = self

    async def __call__(self, call: Call, request: Any) -> Any:
        self.calls.append(call)
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()
        return empty_answer("SearchWeb")


@pytest.fixture
def held(backend: Recording) -> Held:
    return Held(backend)


async def test_a_deadline_reaches_the_handler_and_ends_it(channel: grpc.aio.Channel, held: Held) -> None:
    ended = await refused(channel, "SearchWeb", seconds=0.2)
    assert ended.code is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await held.ended.wait()
    assert held.cancelled
    assert held.calls[0].seconds_left() == 0.0


async def test_a_call_without_a_deadline_gets_the_servers(backend: Recording, held: Held) -> None:
    short = ServerOptions("127.0.0.1:0", max_call_seconds=0.1)
    async with (
        ToolServiceServer(backend, short) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        ended = await refused(channel, "SearchWeb", seconds=None)
    assert (ended.code, ended.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert held.cancelled


async def test_when_the_gateways_caller_leaves_the_handler_is_cancelled(
    gateway: ToolGateway, held: Held
) -> None:
    calling = asyncio.create_task(call_tool(gateway, "search_web"))
    await held.begun.wait()
    calling.cancel()
    async with asyncio.timeout(5):
        await held.ended.wait()
    assert held.cancelled


async def test_beyond_its_places_it_refuses_and_then_serves_again(backend: Recording, held: Held) -> None:
    narrow = ServerOptions("127.0.0.1:0", max_concurrency=1)
    async with (
        ToolServiceServer(backend, narrow) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        first = asyncio.create_task(ask(channel, "SearchWeb"))
        await held.begun.wait()
        ended = await refused(channel, "GetWeatherData")
        assert (ended.code, ended.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        held.release.set()
        await first
        await ask(channel, "GetWeatherData")


async def test_a_switch_turns_all_tools_off_and_on_again(backend: Recording) -> None:
    answers = iter([True, False, True])

    async def switched_on() -> bool:
        return next(answers)

    async with (
        ToolServiceServer(backend, ANYWHERE, switched_on=switched_on) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await ask(channel, "GetWeatherData")
        assert (await refused(channel, "GetWeatherData")).code is grpc.StatusCode.UNIMPLEMENTED
        await ask(channel, "GetWeatherData")
    assert [seen.name for seen in backend.seen] == ["get_weather_data"] * 2


async def test_on_the_way_out_a_call_at_work_ends_and_no_other_begins(backend: Recording, held: Held) -> None:
    patient = ServerOptions("127.0.0.1:0", grace_seconds=600.0)
    server = await ToolServiceServer(backend, patient).__aenter__()
    async with (
        grpc.aio.insecure_channel(server.address) as channel,
        ToolGateway(options(server.address, max_retries=0)) as gateway,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service=NAME))
        assert (await watching.read()).status == SERVING
        first = asyncio.create_task(ask(channel, "SearchWeb"))
        await held.begun.wait()
        stopping = asyncio.create_task(server.__aexit__(None, None, None))
        assert (await watching.read()).status == NOT_SERVING
        assert (await call_tool(gateway, "get_weather_data")).reason == "TOOL_UNAVAILABLE"
        assert not stopping.done()
        held.release.set()
        await first
        async with asyncio.timeout(60):
            await stopping  # though somebody watches
        with pytest.raises(grpc.aio.AioRpcError):
            await watching.read()
    assert [seen.name for seen in backend.seen] == ["search_web"]


async def test_what_does_not_end_within_the_grace_is_cancelled(backend: Recording, held: Held) -> None:
    hasty = ServerOptions("127.0.0.1:0", grace_seconds=0.1)
    async with grpc.aio.insecure_channel("127.0.0.1:1") as _, ToolServiceServer(backend, hasty) as server:
        channel = grpc.aio.insecure_channel(server.address)
        first = asyncio.create_task(ask(channel, "SearchWeb"))
        await held.begun.wait()
    assert held.cancelled
    with pytest.raises(grpc.aio.AioRpcError):
        await first
    await channel.close()


async def test_health_needs_no_token_and_says_what_the_backend_says(
    server: ToolServiceServer, channel: grpc.aio.Channel
) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    for name in ("", NAME):
        assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
    await server.set_serving(False)
    assert (await stub.Check(health_pb2.HealthCheckRequest(service=NAME))).status == NOT_SERVING


@pytest.mark.parametrize("wanted", [True, False])
async def test_reflection_is_there_when_it_is_wanted(backend: Recording, wanted: bool) -> None:
    chosen = ServerOptions("127.0.0.1:0", reflection=wanted)
    async with (
        ToolServiceServer(backend, chosen, authenticator=BearerTokens.of(TOKEN)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        if not wanted:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call.read()
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        answer = await call.read()
        assert NAME in {service.name for service in answer.list_services_response.service}


async def test_a_port_that_is_taken_is_named(server: ToolServiceServer, backend: Recording) -> None:
    with pytest.raises(AddressInUseError, match=str(server.port)):
        await ToolServiceServer(backend, ServerOptions(server.address)).__aenter__()


async def test_several_servers_live_in_one_event_loop(backend: Recording) -> None:
    other = Recording()
    async with ToolServiceServer(backend, ANYWHERE) as one, ToolServiceServer(other, ANYWHERE) as two:
        for server in (one, two):
            async with grpc.aio.insecure_channel(server.address) as channel:
                await ask(channel, "SearchWeb")
    assert len(backend.seen) == len(other.seen) == 1
