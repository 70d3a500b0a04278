"""A real server whose one method is a tiny handler of the test's own, behind the GuardInterceptor."""

import asyncio
import io
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import grpc

from orchestrator.admission import Admission, AdmissionLimits
from orchestrator.interceptors import EdgeLimits, GuardInterceptor
from telemetry.logs import JsonFormatter

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Call: TypeAlias = Any
"""grpc's four classes of calls have no typed base."""
Body: TypeAlias = Callable[[Context], Awaitable[None]]
"""What a handler does."""
Codec: TypeAlias = Callable[[bytes], bytes]

SERVICE, METHOD = "edge.Guarded", "Call"
PATH = f"/{SERVICE}/{METHOD}"
PATIENCE_SECONDS = 5.0
AMPLE = EdgeLimits(call_seconds=30.0, stream_seconds=30.0, slow_reader_seconds=30.0)
MANY = AdmissionLimits(max_streams=100, max_streams_per_user=100, max_calls=100, max_calls_per_user=100)
CANARY = "canary-5c0d1"
STANDS_STILL = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
"""A channel that takes no byte before it is asked for: if nobody reads, the server cannot write at all."""


class Kind(StrEnum):
    """Every kind of handler; those that stream come as a generator and as a coroutine that writes."""

    UNARY = "unary"
    GENERATOR = "generator"
    WRITER = "writer"
    CLIENT_STREAMING = "client-streaming"
    BIDI_GENERATOR = "bidirectional generator"
    BIDI_WRITER = "bidirectional writer"


CALLS = (Kind.UNARY, Kind.CLIENT_STREAMING)
GENERATORS = (Kind.GENERATOR, Kind.BIDI_GENERATOR)
WRITERS = (Kind.WRITER, Kind.BIDI_WRITER)
STREAMS = GENERATORS + WRITERS
ONE_REQUEST = (Kind.UNARY, Kind.GENERATOR, Kind.WRITER)
MANY_REQUESTS = (Kind.CLIENT_STREAMING, Kind.BIDI_GENERATOR, Kind.BIDI_WRITER)
MOMENTS = [(kind, 0) for kind in Kind] + [(kind, 1) for kind in STREAMS]
"""Each kind before its first message, and those that stream also after it."""

MAKE: dict[Kind, Callable[..., Handler]] = {
    Kind.UNARY: grpc.unary_unary_rpc_method_handler,
    Kind.GENERATOR: grpc.unary_stream_rpc_method_handler,
    Kind.WRITER: grpc.unary_stream_rpc_method_handler,
    Kind.CLIENT_STREAMING: grpc.stream_unary_rpc_method_handler,
    Kind.BIDI_GENERATOR: grpc.stream_stream_rpc_method_handler,
    Kind.BIDI_WRITER: grpc.stream_stream_rpc_method_handler,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended, as its caller sees it."""

    replies: list[bytes]
    error: grpc.aio.AioRpcError | None

    @property
    def failure(self) -> grpc.aio.AioRpcError:
        assert self.error is not None, "the call did not fail"
        return self.error


@dataclass(frozen=True, slots=True)
class Guarded:
    """A running server and a channel to it."""

    server: grpc.aio.Server
    channel: grpc.aio.Channel
    port: int
    guard: GuardInterceptor

    def call(self, kind: Kind, *, timeout: float | None = None) -> Call:
        return open_call(self.channel, kind, timeout=timeout)

    async def ended(self, kind: Kind) -> Ended:
        return await ended(self.call(kind))

    def another_channel(self, options: list[tuple[str, int]] | None = None) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=options)


def handler_of(
    kind: Kind, body: Body, first: int = 0, *, decode: Codec | None = None, encode: Codec | None = None
) -> Handler:
    """A handler that gives `first` replies, if its kind can, then does `body`, then gives one more."""

    async def reply(requests: object, context: Context) -> bytes:
        await _take_one(requests)
        await body(context)
        return b"last"

    async def replies(requests: object, context: Context) -> AsyncIterator[bytes]:
        await _take_one(requests)
        for _ in range(first):
            yield b"one"
        await body(context)
        yield b"last"

    async def writes(requests: object, context: Context) -> None:
        await _take_one(requests)
        for _ in range(first):
            await context.write(b"one")
        await body(context)
        await context.write(b"last")

    shape = reply if kind in CALLS else replies if kind in GENERATORS else writes
    return MAKE[kind](shape, decode, encode)


async def _take_one(requests: object) -> None:
    if isinstance(requests, AsyncIterable):
        await anext(aiter(requests))


@asynccontextmanager
async def guarded(handler: Handler, limits: EdgeLimits = AMPLE) -> AsyncIterator[Guarded]:
    """Serve one handler at PATH."""
    guard = GuardInterceptor(Admission(MANY), limits)
    server = grpc.aio.server(interceptors=[guard])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    async with listening(server) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Guarded(server, channel, port, guard)


@asynccontextmanager
async def listening(server: grpc.aio.Server) -> AsyncIterator[int]:
    """A server that serves inside the block, on a port of its own."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def open_call(channel: Any, kind: Kind, *, timeout: float | None = None) -> Call:
    """Call PATH in the way that fits its handler's kind."""
    match kind:
        case Kind.UNARY:
            return channel.unary_unary(PATH)(b"request", timeout=timeout)
        case Kind.GENERATOR | Kind.WRITER:
            return channel.unary_stream(PATH)(b"request", timeout=timeout)
        case Kind.CLIENT_STREAMING:
            return channel.stream_unary(PATH)(iter([b"request"]), timeout=timeout)
        case Kind.BIDI_GENERATOR | Kind.BIDI_WRITER:
            return channel.stream_stream(PATH)(iter([b"request"]), timeout=timeout)


async def ended(call: Call) -> Ended:
    """Read a call to its end; raises TimeoutError when that does not come."""
    replies: list[bytes] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            if hasattr(call, "__aiter__"):
                async for reply in call:
                    replies.append(reply)
            else:
                replies.append(await call)
    except grpc.aio.AioRpcError as error:
        return Ended(replies, error)
    return Ended(replies, None)


@contextmanager
def json_log() -> Iterator[io.StringIO]:
    """Every line this process logs inside the block, written as production writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


async def for_each(
    moments: Iterable[tuple[Kind, int]], check: Callable[[Kind, int], Awaitable[None]]
) -> None:
    """Check every moment, all at once: most of such a check is waiting."""

    async def one(kind: Kind, first: int) -> None:
        try:
            await check(kind, first)
        except Exception as error:
            error.add_note(f"{kind}, after {first} messages")
            raise

    async with asyncio.TaskGroup() as group:
        for kind, first in moments:
            group.create_task(one(kind, first))


async def eventually(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Return when it does; raises TimeoutError. For what nobody can be woken by: a row, an answer."""
    async with asyncio.timeout(within):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


def everything_sent(error: grpc.aio.AioRpcError) -> str:
    """All that a failed call's status carries, as text."""
    return repr((error.details(), error.debug_error_string(), error.trailing_metadata()))
