"""Handlers of every kind through the whole chain of interceptors, and what is counted of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.metrics import free_address, page, samples, scrape
from tests.harness.raw import raw_stream
from tests.harness.service import Service, chat_request, running_service

CALLS = "rpc_server_call_duration_seconds_count"
STREAM_CHAT = "orchestrator.OrchestratorService/StreamChat"
WATCH = "grpc.health.v1.Health/Watch"
_KEPT = 50


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, address: str) -> AsyncIterator[Service]:
    async with running_service(dsn, provider, metrics={"address": address}) as service:
        yield service


async def statuses(address: str, method: str) -> dict[str, float]:
    found = samples(await scrape(address), CALLS, "rpc_method", "rpc_response_status_code")
    return {code: count for (name, code), count in found.items() if name == method}


async def ended(address: str, method: str) -> dict[str, float]:
    """The same once there is any: a server learns of a caller that left a moment later."""
    async with asyncio.timeout(5):
        while True:
            if found := await statuses(address, method):
                return found
            await asyncio.sleep(0.01)


async def test_a_health_watch_which_writes_for_itself_goes_on_until_its_caller_leaves(
    service: Service, address: str
) -> None:
    stub: Any = health_pb2_grpc.HealthStub(service.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    open_now = samples(await scrape(address), "orchestrator_active_streams", "rpc_method")
    assert open_now == {(WATCH,): 1}
    watch.cancel()
    assert await ended(address, WATCH) == {"CANCELLED": 1}


async def test_reflection_which_reads_a_stream_and_yields_one_answers_and_is_counted(
    service: Service, address: str
) -> None:
    channel: Any = service.channel
    stubs: Any = reflection_pb2_grpc
    stub = stubs.ServerReflectionStub(channel)
    asking: Any = reflection_pb2.ServerReflectionRequest
    request = asking(list_services="")
    [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    names = {one.name for one in answer.list_services_response.service}
    assert "orchestrator.OrchestratorService" in names
    method = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    assert await statuses(address, method) == {"OK": 1}


async def test_bytes_that_are_no_message_are_counted_with_the_status_their_caller_gets(
    service: Service, address: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await raw_stream(service.channel, f"/{STREAM_CHAT}", b"\xff")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await statuses(address, STREAM_CHAT) == {"INVALID_ARGUMENT": 1}


async def test_a_callers_deadline_that_has_passed_is_no_cancellation(
    service: Service, provider: ScriptedProvider, address: str
) -> None:
    provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
    call = service.stub.StreamChat(chat_request("slow"), timeout=0.5)
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await ended(address, STREAM_CHAT) == {"DEADLINE_EXCEEDED": 1}


async def test_each_message_but_the_first_has_a_gap_and_the_first_a_time(
    service: Service, provider: ScriptedProvider, address: str
) -> None:
    provider.enqueue(Script(tokens=("a", " b", " c"), token_interval=0.2))
    chunks = await service.chat()
    found = await scrape(address)
    gaps = samples(found, "orchestrator_chunk_gap_seconds_count", "rpc_method")
    firsts = samples(found, "orchestrator_time_to_first_chunk_seconds_count", "rpc_method")
    assert gaps == {(STREAM_CHAT,): len(chunks) - 1}
    assert firsts == {(STREAM_CHAT,): 1}
    spent = samples(found, "orchestrator_chunk_gap_seconds_sum", "rpc_method")[STREAM_CHAT,]
    assert 0.3 < spent < 5.0


@pytest.mark.usefixtures("service")
async def test_a_task_of_the_event_loop_is_counted_until_it_has_ended(address: str) -> None:
    async def tasks() -> float:
        return samples(await scrape(address), "orchestrator_asyncio_tasks")[()]

    before = await tasks()
    over = asyncio.Event()
    kept = [asyncio.create_task(over.wait()) for _ in range(_KEPT)]
    during = await tasks()
    over.set()
    await asyncio.gather(*kept)
    after = await tasks()
    assert during > before + _KEPT / 2  # a few of gRPC's own come and go
    assert after < during - _KEPT / 2


async def test_the_pages_say_that_the_process_lives_and_whether_it_takes_calls(
    service: Service, address: str
) -> None:
    assert await page(address, "/healthz") == (200, "ok\n")
    assert await page(address, "/readyz") == (200, "ready\n")
    assert (await page(address, "/elsewhere"))[0] == 404
    assert isinstance(await service.stub.HealthCheck(pb.HealthCheckRequest()), pb.HealthCheckResponse)
