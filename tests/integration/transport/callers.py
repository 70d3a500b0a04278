"""Callers with connections, options and habits of their own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.ledger import Call
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request
from tests.harness.statuses import error_info

HELD = Script(tokens=("one", " two"), hold_after=1)
"""An answer whose second half waits until it is released."""

Stub: TypeAlias = "rpc.OrchestratorServiceAsyncStub"
Stream: TypeAlias = "grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]"


@dataclass(frozen=True, slots=True)
class Caller:
    """A channel that shares no connection with another one."""

    channel: grpc.aio.Channel
    stub: Stub


@asynccontextmanager
async def calling(port: int, options: Mapping[str, int] | None = None) -> AsyncIterator[Caller]:
    """A caller of 127.0.0.1:`port`; `options` are gRPC's, by name."""
    arguments = {"grpc.use_local_subchannel_pool": 1, **(options or {})}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", list(arguments.items())) as channel:
        yield Caller(channel, rpc.OrchestratorServiceStub(channel))


@dataclass(frozen=True, slots=True)
class Held:
    """A stream in the middle of its answer."""

    stream: Stream
    run_id: str
    upstream: Call


async def hold(service: Service, stub: Stub, **fields: object) -> Held:
    """Begin a stream and read it up to where its provider waits. One at a time."""
    service.provider.enqueue(HELD)
    stream = stub.StreamChat(chat_request(**fields))  # type: ignore[arg-type]
    first = await _next(stream)
    while not (await _next(stream)).HasField("content"):
        pass
    return Held(stream, first.run_id, service.provider.ledger[-1])


async def _next(stream: Stream) -> pb.ChatChunk:
    chunk = await stream.read()
    assert isinstance(chunk, pb.ChatChunk), "the stream has ended"
    return chunk


async def rest_of(stream: Stream) -> list[pb.ChatChunk]:
    """What a stream still has."""
    chunks = []
    while isinstance(chunk := await stream.read(), pb.ChatChunk):
        chunks.append(chunk)
    return chunks


async def first_token_seconds(stub: Stub, user: str) -> float:
    """How long a whole stream took up to its first text."""
    began, seconds = monotonic(), 0.0
    stream = stub.StreamChat(chat_request(user_id=user))
    while isinstance(chunk := await stream.read(), pb.ChatChunk):
        if not seconds and chunk.HasField("content"):
            seconds = monotonic() - began
    assert seconds, "the stream had no text"
    return seconds


async def failure_of(
    stream: Stream,
) -> grpc.aio.AioRpcError:
    """How a stream that must fail fails."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rest_of(stream)
    return raised.value


async def admitted(service: Service, user: str) -> None:
    """Try until a stream of a user is let in, and read it to its end."""
    while True:
        stream = service.stub.StreamChat(chat_request(user_id=user))
        with suppress(grpc.aio.AioRpcError):
            await rest_of(stream)
            return
        assert error_info(await failure_of(stream)).reason == "QUOTA"


def quota_subjects(error: grpc.aio.AioRpcError) -> list[str]:
    """Whose quotas a status says are used up."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, "the status has no details"
    failure = error_details_pb2.QuotaFailure()
    for detail in status.details:
        detail.Unpack(failure)
    return [violation.subject for violation in failure.violations]
