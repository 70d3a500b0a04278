"""A stream that has nothing to say shows that it lives, as often as the setting or its caller wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request, running_service, text_of
from tests.harness.statuses import error_info, violations
from tests.integration.transport.callers import HELD, failure_of

FIELD = "stream_options.heartbeat_interval"


class Reader:
    """Reads a held stream to its end, and tells when it has seen so many heartbeats."""

    def __init__(self, service: Service, **options: object) -> None:
        service.provider.enqueue(HELD)
        stream_options = pb.StreamOptions(**options)  # type: ignore[arg-type]
        self._stream = service.stub.StreamChat(chat_request(stream_options=stream_options))
        self._beat = asyncio.Event()
        self._ended = False
        self.chunks: list[pb.ChatChunk] = []
        self.times: list[float] = []

    async def read(self) -> None:
        try:
            async for chunk in self._stream:
                self.chunks.append(chunk)
                if chunk.HasField("heartbeat"):
                    self.times.append(monotonic())
                    self._beat.set()
        finally:
            self._ended = True
            self._beat.set()

    @property
    def heartbeats(self) -> list[pb.ChatChunk]:
        return [chunk for chunk in self.chunks if chunk.HasField("heartbeat")]

    async def seen(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.times) < count and not self._ended:
                self._beat.clear()
                await self._beat.wait()
        assert len(self.times) >= count


@asynccontextmanager
async def reading(service: Service, **options: object) -> AsyncIterator[Reader]:
    """A reader at work; at the end of the block the answer goes on to its end."""
    reader = Reader(service, **options)
    task = asyncio.create_task(reader.read(), name="heartbeat-reader")
    try:
        yield reader
    finally:
        service.provider.release()
        await task


def interval(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


async def test_heartbeats_come_while_the_provider_waits_and_disturb_nothing(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider, stream={"heartbeat_seconds": 0.1}) as service:
        async with reading(service) as reader:
            await reader.seen(3)
        logged = [chunk for chunk in reader.chunks if not chunk.HasField("heartbeat")]
        assert text_of(reader.chunks) == logged[-1].complete.final_text == "one two"
        assert [chunk.sequence for chunk in logged] == list(range(1, len(logged) + 1))
        for chunk in reader.heartbeats:
            assert (chunk.sequence, chunk.run_id) == (0, logged[0].run_id)
            assert (chunk.type, chunk.message, chunk.agent_name) == ("status", "", "chat")
            assert chunk.timestamp == chunk.time.ToJsonString()


async def test_heartbeats_come_as_often_as_the_setting_says(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, stream={"heartbeat_seconds": 0.2}) as often,
        running_service(dsn, provider, stream={"heartbeat_seconds": 30.0}) as seldom,
        reading(often) as hears,
        reading(seldom) as hears_nothing,
    ):
        await hears.seen(4)
        assert 0.55 < hears.times[3] - hears.times[0] < 2
        assert hears_nothing.heartbeats == []


async def test_the_interval_of_a_request_wins_over_the_setting(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, stream={"heartbeat_seconds": 0.1}) as often,
        running_service(dsn, provider, stream={"heartbeat_seconds": 30.0}) as seldom,
        reading(often, heartbeat_interval=interval(30)) as hears_nothing,
        reading(often) as hears,
        reading(seldom, heartbeat_interval=interval(0.1)) as hears_too,
    ):
        await hears.seen(3)
        await hears_too.seen(3)
        assert hears_nothing.heartbeats == []


async def test_no_heartbeat_comes_while_tokens_flow_faster(dsn: str, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(tokens=("a",) * 30, token_interval=0.05))
    async with running_service(dsn, provider, stream={"heartbeat_seconds": 0.7}) as service:
        chunks = await service.chat()
    assert not [chunk for chunk in chunks if chunk.HasField("heartbeat")]
    assert text_of(chunks) == "a" * 30


async def test_structured_only_leaves_the_strings_of_heartbeats_empty(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with (
        running_service(dsn, provider, stream={"heartbeat_seconds": 0.1}) as service,
        reading(service, structured_only=True) as reader,
    ):
        await reader.seen(1)
    for chunk in reader.heartbeats:
        assert (chunk.type, chunk.message, chunk.timestamp) == ("", "", "")
        assert chunk.time.seconds


@pytest.mark.parametrize("seconds", [0.01, -1.0, 3601.0])
async def test_an_interval_that_cannot_be_is_invalid_argument_and_is_named(
    service: Service, seconds: float
) -> None:
    options = pb.StreamOptions(heartbeat_interval=interval(seconds))
    error = await failure_of(service.stub.StreamChat(chat_request(stream_options=options)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error).reason == "INVALID_REQUEST"
    assert list(violations(error)) == [FIELD]
    assert service.provider.ledger == []


async def test_an_interval_of_zero_is_the_servers_own(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, stream={"heartbeat_seconds": 0.1}) as service,
        reading(service, heartbeat_interval=interval(0)) as reader,
    ):
        await reader.seen(1)
