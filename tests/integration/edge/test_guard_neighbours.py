"""What others wrote, health and reflection, goes through the guard unharmed; none of it is synchronous."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from orchestrator.admission import Admission, AdmissionLimits
from orchestrator.health_servicer import HealthServicer
from orchestrator.interceptors import EdgeLimits, GuardInterceptor
from orchestrator.servicer import SERVICE, OrchestratorServicer
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.proxy import TcpProxy
from tests.harness.raw import raw_unary
from tests.harness.service import Service, running_service
from tests.integration.edge.guarded import PATIENCE_SECONDS, STANDS_STILL, eventually, listening

Watch: TypeAlias = "grpc.aio.UnaryStreamCall[Any, health_pb2.HealthCheckResponse]"

READY = SERVICE.full_name
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SHORTEST = EdgeLimits(call_seconds=0.001, stream_seconds=0.001, slow_reader_seconds=30.0)
NONE_AT_ALL = AdmissionLimits(max_streams=0, max_streams_per_user=0, max_calls=0, max_calls_per_user=0)


@asynccontextmanager
async def neighbours() -> AsyncIterator[tuple[HealthServicer, grpc.aio.Channel]]:
    """Health and reflection behind a guard that gives our own methods neither time nor room."""
    server = grpc.aio.server(interceptors=[GuardInterceptor(Admission(NONE_AT_ALL), SHORTEST)])
    status = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    reflection.enable_server_reflection((READY, health.SERVICE_NAME), server)
    async with listening(server) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield status, channel


def watch(channel: grpc.aio.Channel, name: str = READY) -> Watch:
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return call(health_pb2.HealthCheckRequest(service=name))


async def check(channel: grpc.aio.Channel, name: str = READY) -> int:
    request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    reply = await raw_unary(channel, "/grpc.health.v1.Health/Check", request)
    return health_pb2.HealthCheckResponse.FromString(reply).status


async def test_watch_tells_every_change_and_knows_no_limit_of_time_or_number() -> None:
    async with neighbours() as (status, channel):
        watches = [watch(channel) for _ in range(3)]
        told = [aiter(one) for one in watches]
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert {(await anext(one)).status for one in told} == {UNKNOWN}
            for state in (SERVING, NOT_SERVING, SERVING):
                status.tell(READY, state)
                assert {(await anext(one)).status for one in told} == {state}
                assert await check(channel) == state
        for one in watches:
            one.cancel()


async def test_a_watcher_who_leaves_is_forgotten() -> None:
    async with neighbours() as (status, channel):
        call = watch(channel)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await anext(aiter(call))
            watching = {task for task in asyncio.all_tasks() if "Health/Watch" in task.get_name()}
            assert len(watching) == 1
            call.cancel()
            await asyncio.wait(watching)
            status.tell(READY, SERVING)
            assert await check(channel) == SERVING


async def test_a_status_of_the_health_servicers_own_passes_unchanged() -> None:
    async with neighbours() as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await check(channel, "nobody")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_answers_one_question_after_another() -> None:
    async with neighbours() as (_, channel):
        ask = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        questions = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=READY),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="nobody.Nothing"),
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = [answer async for answer in ask(iter(questions))]
    services, file, unknown = answers
    assert READY in {entry.name for entry in services.list_services_response.service}
    assert file.file_descriptor_response.file_descriptor_proto
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def methods(service: Any, servicer: type) -> list[Any]:
    """Every method of a service, as its description lists them, of the class that we serve it with."""
    return [
        pytest.param(
            servicer,
            method.name,
            id=method.full_name,
        )
        for method in service.methods
    ]


@pytest.mark.parametrize(
    ("servicer", "name"),
    [
        *methods(SERVICE, OrchestratorServicer),
        *methods(health_pb2.DESCRIPTOR.services_by_name["Health"], HealthServicer),
        *methods(
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"], reflection.aio.ReflectionServicer
        ),
    ],
)
def test_no_handler_is_synchronous(servicer: type, name: str) -> None:
    """grpc.aio would run it in a thread and could not cancel it; the guard would run it in the loop."""
    handler = getattr(servicer, name)
    assert inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)


async def test_health_lists_its_services_or_says_that_it_does_not(service: Service) -> None:
    async def lists_it() -> bool:
        return READY.encode() in await raw_unary(service.channel, "/grpc.health.v1.Health/List")

    try:
        await eventually(lists_it, within=PATIENCE_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise


SERVED_ON = pytest.mark.asyncio(loop_factories=["uvloop"])
"""For what takes seconds."""


@SERVED_ON
async def test_a_watcher_who_does_not_read_does_not_freeze_readiness_for_others(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with (
        TcpProxy.to(dsn) as proxy,
        running_service(proxy.dsn, provider) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=STANDS_STILL) as still,
    ):
        unread = watch(still)
        await unread.initial_metadata()
        await proxy.cut()

        async def is_not_serving() -> bool:
            return await check(service.channel) == NOT_SERVING

        try:
            await eventually(is_not_serving, within=3.0)
        finally:
            unread.cancel()  # else the server could not stop


@SERVED_ON
async def test_a_watcher_who_does_not_read_does_not_keep_the_server_from_stopping(
    dsn: str, provider: ScriptedProvider
) -> None:
    running = running_service(dsn, provider)
    service = await running.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=STANDS_STILL) as still:
        unread = watch(still)
        await unread.initial_metadata()
        stopping = asyncio.ensure_future(running.__aexit__(None, None, None))
        stopped, _ = await asyncio.wait({stopping}, timeout=2.0)
        unread.cancel()
        await stopping
    assert stopped
