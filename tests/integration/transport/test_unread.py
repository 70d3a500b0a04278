"""Callers who connect, or begin a call, and then send nothing, or half of it."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service, chat_request, running_service, text_of
from tests.harness.statuses import error_info, retry_delay
from tests.integration.test_health import SERVING, standard_check
from tests.integration.transport.callers import Caller, calling

PATH = "/orchestrator.OrchestratorService/"
PATIENCE = 5.0


def silent_call(caller: Caller, method: str) -> "grpc.aio.StreamStreamCall[bytes, bytes]":
    """A call of which nothing comes but its headers."""

    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    return begun(caller.channel, method, nothing())


def begun(
    channel: grpc.aio.Channel, method: str, requests: AsyncIterator[bytes]
) -> "grpc.aio.StreamStreamCall[bytes, bytes]":
    """A call as gRPC makes it, of bytes."""
    return channel.stream_stream(PATH + method, request_serializer=_same, response_deserializer=_same)(
        requests
    )


def _same(payload: bytes) -> bytes:
    return payload


async def error_of(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    return raised.value


@pytest.mark.parametrize("method", ["StreamChat", "StartTask", "HealthCheck"])
@pytest.mark.parametrize("seconds", [0.2, 0.6])
async def test_a_call_whose_request_does_not_come_ends_after_the_setting(
    dsn: str, provider: ScriptedProvider, method: str, seconds: float
) -> None:
    async with (
        running_service(dsn, provider, server={"request_seconds": seconds}) as service,
        calling(service.port) as caller,
    ):
        began = monotonic()
        async with asyncio.timeout(PATIENCE):
            error = await error_of(silent_call(caller, method))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error_info(error).metadata["seconds"] == f"{seconds:g}"
        assert monotonic() - began > seconds - 0.05
        assert text_of(await service.chat())


@pytest.mark.parametrize("most", [2, 4])
async def test_so_many_calls_may_wait_for_their_requests_and_one_more_takes_the_place_of_the_oldest(
    dsn: str, provider: ScriptedProvider, most: int
) -> None:
    async with (
        running_service(dsn, provider, server={"max_unread_calls": most}) as service,
        calling(service.port) as caller,
        asyncio.timeout(PATIENCE),
    ):
        silent = [silent_call(caller, "StreamChat") for _ in range(most)]
        refusals = [asyncio.create_task(error_of(call)) for call in silent]
        while not any(refusal.done() for refusal in refusals):
            assert text_of(await service.chat())
        [refused] = [refusal.result() for refusal in refusals if refusal.done()]
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(refused).reason == "OVERLOADED"
        assert error_info(refused).metadata["limit"] == str(most)
        assert retry_delay(refused)
        assert text_of(await service.chat())
        assert await standard_check(service.channel, "") == SERVING
        assert sum(refusal.done() for refusal in refusals) == 1
        for call in silent:
            call.cancel()
        await asyncio.gather(*refusals, return_exceptions=True)


async def test_a_call_that_is_closed_without_a_request_is_invalid(service: Service) -> None:
    none: list[bytes] = []

    async def nothing() -> AsyncIterator[bytes]:
        for request in none:
            yield request

    assert (
        await error_of(begun(service.channel, "StreamChat", nothing()))
    ).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("spoken", [b"", b"PRI * HT"], ids=["nothing", "half a preface"])
async def test_a_connection_that_never_speaks_is_closed(
    dsn: str, provider: ScriptedProvider, spoken: bytes
) -> None:
    async with running_service(dsn, provider, server={"request_seconds": 0.3}) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(spoken)
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
        assert text_of(await service.chat())


@pytest.mark.parametrize("most", [3, 6])
async def test_the_server_takes_as_many_connections_as_the_setting(
    dsn: str, provider: ScriptedProvider, most: int
) -> None:
    settings = {"max_connections": most, "request_seconds": 60.0}
    async with running_service(dsn, provider, server=settings) as service:
        await service.chat()  # one connection is the service's own caller's
        pairs = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(most + 2)]
        readings = {asyncio.create_task(reader.read(1)): reader for reader, _ in pairs}
        await asyncio.wait(readings, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.5)
        closed = sum(task.done() and reader.at_eof() for task, reader in readings.items())
        assert len(pairs) - closed == most - 1
        for task in readings:
            task.cancel()
        for _, writer in pairs:
            writer.close()
        assert text_of(await service.chat())


@pytest.mark.parametrize("most", [1, 3])
async def test_a_connection_has_as_many_calls_at_once_as_the_setting(
    dsn: str, provider: ScriptedProvider, most: int
) -> None:
    """The caller itself holds back what is too much: it is told when it connects."""
    settings = {"max_streams_per_connection": most}
    async with running_service(dsn, provider, server=settings) as service, calling(service.port) as caller:
        await caller.stub.GetServerInfo(pb.GetServerInfoRequest())
        waiting = [silent_call(caller, "StreamChat") for _ in range(most)]
        await asyncio.sleep(0.2)
        late = caller.stub.StreamChat(chat_request())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(late.initial_metadata())
        assert text_of(await service.chat())  # another connection
        waiting[0].cancel()
        async with asyncio.timeout(PATIENCE):
            assert text_of([chunk async for chunk in late])
        for each in waiting:
            each.cancel()
