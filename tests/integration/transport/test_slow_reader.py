"""A reader who stops reading holds up its own stream, for `slow_reader_seconds`, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import monotonic

import grpc
import psutil

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import orchestrator_process
from tests.harness.proxy import TcpProxy
from tests.harness.service import chat_request, running_service, text_of
from tests.harness.statuses import error_info
from tests.integration.transport.callers import (
    Caller,
    Stream,
    admitted,
    calling,
    failure_of,
    first_token_seconds,
    rest_of,
)

SMALL_WINDOW = {"grpc.http2.lookahead_bytes": 65535, "grpc.http2.bdp_probe": 0}
"""Without it gRPC's client takes some megabytes before it leaves a server waiting."""

LONG_AND_SLOW = Script(tokens=("x" * 1024,) * 600, token_interval=0.001)
"""Written in many steps, most of them after its reader has stopped."""
LONG_AND_HELD = Script(tokens=("x" * 1024,) * 600, hold_after=600)
MEGABYTE = 1 << 20


async def one_chunk(caller: Caller, **fields: object) -> Stream:
    """A stream that is read up to its first chunk and not further."""
    stream = caller.stub.StreamChat(chat_request(**fields))  # type: ignore[arg-type]
    assert isinstance(await stream.read(), pb.ChatChunk)
    return stream


@asynccontextmanager
async def stopped_reader(dsn: str, provider: ScriptedProvider, seconds: float) -> AsyncIterator[Stream]:
    settings = {"slow_reader_seconds": seconds, "drain_seconds": 0.0}
    async with (
        running_service(dsn, provider, server=settings) as service,
        calling(service.port, SMALL_WINDOW) as caller,
    ):
        yield await one_chunk(caller)


async def test_a_stream_that_is_not_read_ends_when_the_setting_says_and_frees_its_provider(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG_AND_HELD, LONG_AND_HELD)
    async with (
        stopped_reader(dsn, provider, 30.0),
        stopped_reader(dsn, provider, 0.4) as impatient,
    ):
        began = monotonic()
        patiently, impatiently = await provider.call(1), await provider.call(2)
        assert await impatiently.ended(within=4) is Outcome.CLIENT_GONE
        assert monotonic() - began > 0.3
        assert patiently.outcome is None
        error = await failure_of(impatient)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_info(error).reason == "SLOW_READER"


async def test_a_reader_behind_a_dead_link_is_one_who_does_not_read(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG_AND_HELD)
    async with (
        running_service(dsn, provider, server={"slow_reader_seconds": 0.5}) as service,
        TcpProxy("127.0.0.1", service.port) as proxy,
        calling(proxy.port, SMALL_WINDOW) as caller,
    ):
        stream = await one_chunk(caller)
        proxy.swallow(to_server=False)
        upstream = await provider.call(1)
        assert await upstream.ended(within=4) is Outcome.CLIENT_GONE
        stream.cancel()


async def test_a_run_does_not_wait_for_its_reader(dsn: str, provider: ScriptedProvider) -> None:
    provider.enqueue(LONG_AND_SLOW)
    async with (
        running_service(dsn, provider, server={"slow_reader_seconds": 30.0}) as service,
        calling(service.port, SMALL_WINDOW) as caller,
    ):
        stream = caller.stub.StreamChat(chat_request())
        first = await stream.read()
        assert isinstance(first, pb.ChatChunk)
        assert await service.run_ended(first.run_id, within=5) == "succeeded"
        rest = await rest_of(stream)  # and who reads on gets all of it
        assert text_of(rest) == rest[-1].complete.final_text == "x" * 1024 * 600


async def test_a_slow_reader_gives_its_place_back_while_its_run_may_go_on(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG_AND_HELD)
    settings = {"slow_reader_seconds": 0.3, "max_streams_per_user": 1}
    async with (
        running_service(dsn, provider, server=settings) as service,
        calling(service.port, SMALL_WINDOW) as caller,
    ):
        options = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
        stream = caller.stub.StreamChat(chat_request(run_options=options))
        first = await stream.read()
        assert isinstance(first, pb.ChatChunk)
        async with asyncio.timeout(4):
            await admitted(service, "ann")
        provider.release(1)
        assert await service.run_ended(first.run_id) == "succeeded"
        stream.cancel()


async def test_readers_who_stopped_do_not_slow_another(dsn: str, provider: ScriptedProvider) -> None:
    """Measured in turns, so that whatever else the machine does slows both sides."""
    quiet, beside = [], []
    async with running_service(dsn, provider) as service, calling(service.port, SMALL_WINDOW) as slow:
        for number in range(9):
            quiet.append(await first_token_seconds(service.stub, "ann"))
            provider.enqueue(LONG_AND_HELD)
            stream = await one_chunk(slow)
            upstream = await provider.call(3 * number + 2)
            await upstream.sent(600)
            beside.append(await first_token_seconds(service.stub, "ann"))
            stream.cancel()
            await upstream.ended()
    assert median(beside) < 5 * median(quiet)


async def test_memory_stays_flat_while_nobody_reads(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """In a process of its own, whose memory is the service's. Reasoning, because an answer is kept whole."""
    script = Script(reasoning=("x" * 8192,) * 5120, tokens=("done",), token_interval=0.002)
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_STREAM__TAIL_RECORDS": "16",
        "ORCHESTRATOR_RUN__MAX_REPEATED_CHUNKS": "10000",
        "ORCHESTRATOR_STREAM__BUFFER_CHARACTERS": str(
            8 * MEGABYTE
        ),  # a busy machine writes by fits and starts
    }
    async with (
        orchestrator_process(tmp_path, **environment) as process,
        calling(int(process.address.rpartition(":")[2]), SMALL_WINDOW) as caller,
    ):
        async for _ in caller.stub.StreamChat(chat_request()):
            pass
        provider.enqueue(script)
        memory = psutil.Process(process.pid)
        before = most = memory.memory_info().rss
        stream = await one_chunk(caller, stream_options=pb.StreamOptions(include_reasoning=True))
        upstream = await provider.call(2)
        for tokens in range(0, 5121, 128):
            await upstream.sent(tokens, within=20)
            most = max(most, memory.memory_info().rss)
        assert await upstream.ended(within=20) is Outcome.COMPLETED
        stream.cancel()
    assert most - before < 30 * MEGABYTE
