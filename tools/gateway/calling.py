"""The one path by which everything that the backend serves is called.

place (CallLimit) -> off? breaker? (Methods) -> the call with what is left of its time -> again, where that is
allowed. Deadlines, identity and failures are treated here and nowhere else.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from urllib.parse import quote

import grpc

from providers.breaker import BreakerSettings
from providers.window import Chance
from state.models import RunId
from tools.base import Tool, ToolContext
from tools.gateway.channel import ChannelOptions, opened
from tools.gateway.failures import (
    BUSY,
    CUT_SHORT,
    NO_TIME,
    REFUSED_FOR_NOW,
    TOO_SLOW,
    UNREACHABLE,
    CallFailedError,
    of_status,
)
from tools.gateway.limits import CallLimit
from tools.gateway.methods import Methods
from tools.gateway.schema import SERVICE

T = TypeVar("T")

Decode = Callable[[bytes], T]
Read = Callable[[AsyncIterator[bytes]], Awaitable[T]]

_Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
_Stream: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How calls are made. `max_retries`: how often one is made again; pauses double from `retry_seconds`."""

    max_concurrency: int = 64
    max_concurrency_per_run: int = 4
    max_retries: int = 2
    retry_seconds: float = 0.1
    off_seconds: float = 60.0
    breaker: BreakerSettings = field(default_factory=BreakerSettings)


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `repeatable`: it may be made again when the backend could not be reached.

    `deadline`, in the event loop's time: when whoever waits for it stops doing so; None = never.
    """

    rpc: str
    body: bytes
    metadata: tuple[tuple[str, str], ...]
    timeout_seconds: float
    repeatable: bool
    run_id: RunId
    deadline: float | None = None

    @classmethod
    def of(cls, rpc: str, body: bytes, tool: Tool, context: ToolContext) -> Self:
        """The call of a tool."""
        repeatable = tool.read_only or tool.idempotent
        metadata = metadata_of(context)
        return cls(
            rpc, body, metadata, tool.timeout_seconds, repeatable, context.run_id, deadline=context.deadline
        )


@dataclass(frozen=True, slots=True)
class _Time:
    """Until when, in the event loop's time. `shortened`: by the run, not by the tool itself."""

    until: float
    shortened: bool

    def left(self) -> float:
        return self.until - asyncio.get_running_loop().time()


class BackendCalls:
    """Calls of one backend, through one channel that is open inside the context."""

    def __init__(
        self, channel: ChannelOptions, options: CallOptions, *, chance: Chance = random.random
    ) -> None:
        self._channel_options = channel
        self._options = options
        self._chance = chance
        self._limit = CallLimit(in_all=options.max_concurrency, of_a_run=options.max_concurrency_per_run)
        self._methods = Methods(options.breaker, off_seconds=options.off_seconds)
        self._channel: grpc.aio.Channel | None = None
        self._unary: dict[str, _Unary] = {}  # making one takes as long as calling it

    async def __aenter__(self) -> Self:
        self._channel = opened(self._channel_options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        channel, self._channel = self._channel, None
        self._unary.clear()
        if channel is not None:
            await channel.close()

    def is_off(self, rpc: str) -> bool:
        """Whether the backend has said, not long ago, that it does not have this method."""
        return self._methods.is_off(rpc)

    async def unary(self, request: Request, decode: Decode[T]) -> T:
        """The one response.

        Raises:
            CallFailedError: There is none.
        """

        async def once(channel: grpc.aio.Channel, seconds: float) -> T:
            # Bytes, not messages: what cannot be parsed is then ours to judge.
            method = self._unary.get(request.rpc)
            if method is None:
                method = self._unary[request.rpc] = channel.unary_unary(_path(request.rpc))
            return decode(await method(request.body, timeout=seconds, metadata=self._metadata(request)))

        return await self._made(request, once)

    async def stream(self, request: Request, read: Read[T]) -> T:
        """What `read` makes of the responses.

        Raises:
            CallFailedError: The call fails before it is through with them.
        """

        async def once(channel: grpc.aio.Channel, seconds: float) -> T:
            method: _Stream = channel.unary_stream(_path(request.rpc))
            call = method(request.body, timeout=seconds, metadata=self._metadata(request))
            async with aclosing(_messages(call)) as messages:
                return await read(messages)

        return await self._made(request, once)

    async def _made(self, request: Request, once: Callable[[grpc.aio.Channel, float], Awaitable[T]]) -> T:
        time = _time_of(request)
        async with self._place(request.run_id, time):
            earlier: CallFailedError | None = None
            for attempt in range(1 + self._options.max_retries):
                try:
                    return await self._attempt(request.rpc, once, time)
                except CallFailedError as error:
                    if earlier is not None and error.failure in (REFUSED_FOR_NOW, NO_TIME):
                        raise earlier from error  # this one was not even made
                    earlier = error
                    pause = self._options.retry_seconds * 2**attempt * (0.5 + self._chance() / 2)
                    if not request.repeatable or error.failure is not UNREACHABLE or pause >= time.left():
                        raise
                    if attempt == self._options.max_retries:
                        raise
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self, rpc: str, once: Callable[[grpc.aio.Channel, float], Awaitable[T]], time: _Time
    ) -> T:
        assert self._channel is not None, "enter the context first"
        left = time.left()
        if left <= 0:
            raise CallFailedError(NO_TIME)
        with self._methods.attempt(rpc):
            try:
                return await once(self._channel, left)
            except grpc.aio.AioRpcError as error:
                failed = of_status(error)
                if failed.failure is TOO_SLOW and time.shortened:
                    failed = CallFailedError(CUT_SHORT)
                raise failed from error

    @asynccontextmanager
    async def _place(self, run_id: RunId, time: _Time) -> AsyncGenerator[None, None]:
        waiting = asyncio.timeout_at(time.until)
        try:
            async with waiting, self._limit.place(run_id):
                waiting.reschedule(None)  # the call keeps its own time
                yield
        except TimeoutError as error:
            raise CallFailedError(NO_TIME if time.shortened else BUSY) from error

    def _metadata(self, request: Request) -> tuple[tuple[str, str], ...]:
        token = self._channel_options.token
        return (*request.metadata, ("authorization", f"Bearer {token}")) if token else request.metadata


def metadata_of(context: ToolContext) -> tuple[tuple[str, str], ...]:
    """Who asks, in which run; what is unknown is left out."""
    values = {
        "traceparent": context.traceparent,
        "x-request-id": context.request_id,
        "x-run-id": str(context.run_id),
        "x-tool-call-id": context.tool_call_id,
        "x-user-id": str(context.owner),
    }
    return tuple((name, printable(value)) for name, value in values.items() if value)


def printable(value: str) -> str:
    """A text as metadata can hold it: percent-encoded if it is not plain ASCII, or holds a % itself."""
    # HTTP/2 headers hold no other characters; the same as for x-conversation-id in answers.
    return value if value.isascii() and value.isprintable() and "%" not in value else quote(value)


def _path(rpc: str) -> str:
    return f"/{SERVICE.full_name}/{rpc}"


def _time_of(request: Request) -> _Time:
    own = asyncio.get_running_loop().time() + request.timeout_seconds
    if request.deadline is not None and request.deadline < own:
        return _Time(request.deadline, shortened=True)
    return _Time(own, shortened=False)


async def _messages(call: "grpc.aio.UnaryStreamCall[bytes, bytes]") -> AsyncGenerator[bytes, None]:
    try:
        async for message in call:
            yield message
    finally:
        call.cancel()  # leaving the loop alone would leave the call open until the channel closes
