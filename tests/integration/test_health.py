"""Health tells the truth, to our own RPC, to grpc.health.v1, and to whoever asks for reflection."""

import asyncio
from typing import Any, TypeAlias

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.addresses import silent_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import run_main
from tests.harness.proxy import TcpProxy
from tests.harness.service import Service, chat_request, running_service, text_of

Watch: TypeAlias = "grpc.aio.UnaryStreamCall[Any, health_pb2.HealthCheckResponse]"

READY = "orchestrator.OrchestratorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(service: Service) -> pb.HealthCheckResponse:
    return await service.stub.HealthCheck(pb.HealthCheckRequest())


async def standard_check(channel: grpc.aio.Channel, name: str = READY) -> int:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response: health_pb2.HealthCheckResponse = await check(health_pb2.HealthCheckRequest(service=name))
    return response.status


def standard_watch(channel: grpc.aio.Channel) -> Watch:
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return watch(health_pb2.HealthCheckRequest(service=READY))


async def watched(watch: Watch, wanted: int) -> None:
    """Wait until a Watch tells a status."""
    async with asyncio.timeout(10):
        async for response in watch:
            if response.status == wanted:
                return


async def test_a_working_service_is_healthy_with_details(service: Service) -> None:
    answer = await health(service)
    assert answer.status == "healthy"
    assert dict(answer.details) == {
        "database": "ok",
        "provider": "ok",
        "worker": "ok",
        "active_runs": "0",
    }
    assert answer.version == "0.1.0"
    assert not answer.draining
    assert answer.uptime.ToNanoseconds() > 0


async def test_health_counts_the_runs_being_executed(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
    call = service.stub.StreamChat(chat_request())
    stream = aiter(call)
    await anext(stream)
    assert (await health(service)).details["active_runs"] == "1"
    service.provider.release()
    assert text_of([chunk async for chunk in stream]) == "ab"


async def test_health_never_calls_a_model(service: Service) -> None:
    await health(service)
    assert service.provider.ledger == []


async def test_a_dead_provider_is_degraded_and_still_ready(dsn: str) -> None:
    async with ScriptedProvider() as gone:
        pass
    async with running_service(dsn, gone) as service:
        answer = await health(service)
        assert (answer.status, answer.details["provider"]) == ("degraded", "unreachable")
        assert await standard_check(service.channel) == SERVING


async def test_a_lost_database_is_unhealthy_and_not_serving_until_it_is_back(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider) as service:
        watch = standard_watch(service.channel)
        await watched(watch, SERVING)
        await proxy.cut()
        await watched(watch, NOT_SERVING)
        answer = await health(service)
        assert (answer.status, answer.details["database"]) == ("unhealthy", "unreachable")
        assert await standard_check(service.channel, "") == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat()
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        await proxy.restore()
        await watched(watch, SERVING)
        assert text_of(await service.chat("back again"))
        watch.cancel()


async def test_reflection_lists_our_service_and_health(service: Service) -> None:
    ask = service.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    response: reflection_pb2.ServerReflectionResponse = await anext(aiter(ask(iter([request]))))
    names = {entry.name for entry in response.list_services_response.service}
    assert {READY, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= names


async def test_a_second_server_on_the_port_is_refused_in_one_line(
    service: Service, dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, _, errors = await run_main(
        tmp_path_factory.mktemp("second"),
        DATABASE_URL=dsn,
        OPENAI_BASE_URL=service.provider.base_url,
        ORCHESTRATOR_SERVER__ADDRESS=f"127.0.0.1:{service.port}",
    )
    assert code == 1
    assert errors.splitlines()[-1].startswith("llm-orchestrator: cannot listen on 127.0.0.1:")


async def test_a_provider_that_does_not_answer_does_not_hold_readiness_up(dsn: str) -> None:
    with silent_address() as address:
        silent = ScriptedProvider(port=int(address.rpartition(":")[2]))
        async with running_service(dsn, silent) as service:
            async with asyncio.timeout(0.9):
                await watched(standard_watch(service.channel), SERVING)
