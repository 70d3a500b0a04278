"""Who calls a process while its life goes on: open streams, and somebody who watches its health."""

import asyncio
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.harness.service import chat_request, collect, text_of
from tests.harness.statuses import error_info

Stub: TypeAlias = "rpc.OrchestratorServiceAsyncStub"
ChatCall: TypeAlias = "grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]"
WatchCall: TypeAlias = "grpc.aio.UnaryStreamCall[Any, health_pb2.HealthCheckResponse]"

READY = "orchestrator.OrchestratorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_PATIENCE_SECONDS = 20.0


class Caller:
    """One StreamChat: the run it was told of, the chunks so far, and the error it ended with."""

    def __init__(self, channel: grpc.aio.Channel, number: int = 0) -> None:
        stub: Stub = rpc.OrchestratorServiceStub(channel)
        # Everybody is somebody else: one user may not have many streams.
        call = stub.StreamChat(chat_request(f"question {number}", user_id=f"user-{number}"))
        self.call: ChatCall = call
        self._stream = aiter(call)
        self.run_id = ""
        self.chunks: list[pb.ChatChunk] = []
        self.error: grpc.aio.AioRpcError | None = None

    async def begin(self) -> None:
        """Return when the first text is here."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            self.run_id = str(dict(await self.call.initial_metadata())["x-run-id"])
            while not text_of(self.chunks):
                self.chunks.append(await anext(self._stream))

    async def finish(self) -> None:
        """Read what is left."""
        try:
            await collect(self._stream, self.chunks)
        except grpc.aio.AioRpcError as error:
            self.error = error

    @property
    def ending(self) -> tuple[str, str]:
        """The last chunk, as "complete" or its error's reason, and the status, as "OK" or its reason."""
        last = self.chunks[-1]
        chunk = last.error.reason if last.HasField("error") else last.WhichOneof("payload")
        return str(chunk), "OK" if self.error is None else error_info(self.error).reason


async def begun(channel: grpc.aio.Channel, count: int) -> list[Caller]:
    """So many streams, each with its first text."""
    callers = [Caller(channel, number) for number in range(count)]
    await asyncio.gather(*(caller.begin() for caller in callers))
    return callers


async def refusal(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
    """The error a new stream is refused with."""
    caller = Caller(channel)
    await caller.finish()
    assert caller.error is not None
    assert caller.chunks == []
    return caller.error


async def check(channel: grpc.aio.Channel, name: str = READY) -> int:
    """What grpc.health.v1 Check says."""
    ask = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response: health_pb2.HealthCheckResponse = await ask(health_pb2.HealthCheckRequest(service=name))
    return response.status


class Watcher:
    """An open grpc.health.v1 Watch."""

    def __init__(self, channel: grpc.aio.Channel, name: str = READY) -> None:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        call: WatchCall = watch(health_pb2.HealthCheckRequest(service=name))
        self._answers = aiter(call)

    async def told(self, status: int) -> None:
        """Wait until it is told a status."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for answer in self._answers:
                if answer.status == status:
                    return
        raise AssertionError(f"the Watch ended and never told {status}")
