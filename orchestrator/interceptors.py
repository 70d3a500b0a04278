"""The outermost edge of every RPC: whatever happens inside leaves as the right status, as nothing else."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.message import Message

from orchestrator.admission import Admission, CallKind
from orchestrator.codec.bounds import check_bounds
from orchestrator.codec.errors import grpc_status_of
from state.alarm import Alarm
from state.errors import (
    CancelledRunError,
    DeadlineExceededError,
    InvalidRequestError,
    OrchestratorError,
    SlowReaderError,
)

logger = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"

UNLIMITED = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.",
    "/orchestrator.OrchestratorService/HealthCheck",
    "/orchestrator.OrchestratorService/GetServerInfo",
)
"""Asked just when there is too much going on."""

_NO_MESSAGE = "the request's bytes are no valid message of its type"
_ABORT_SECONDS = 1.0
"""An abort, too, waits for a reader who does not read."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The most time, in seconds: for a call, a stream, and a caller's taking of one message of a stream."""

    call_seconds: float
    stream_seconds: float
    slow_reader_seconds: float


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """Stands where a request would be whose bytes are none."""


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Turns exceptions into statuses and enforces limits, for handlers of every kind.

    Without it grpc.aio puts `str(exception)` on the wire, answers nothing at all when our own code leaks a
    CancelledError, calls bytes that are no message an unknown error, and waits for ever for a slow reader.
    """

    def __init__(self, admission: Admission, limits: EdgeLimits) -> None:
        self._admission = admission
        self._limits = limits

    async def idle(self) -> None:
        """Refuse what comes; return when no handler is at work but those of health and reflection."""
        self._admission.close()
        await self._admission.idle()

    async def quiet(self, seconds: float) -> None:
        """Return when no call has come for so long, but for health and reflection."""
        await self._admission.quiet(seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        decode, encode = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary:
            call = self._guard_reply(handler.unary_unary, method, encode)
            return grpc.unary_unary_rpc_method_handler(call, _total(decode))
        if handler.unary_stream:
            call = self._guard_replies(handler.unary_stream, method)
            return grpc.unary_stream_rpc_method_handler(call, _total(decode), encode)
        if handler.stream_unary:
            call = self._guard_reply(handler.stream_unary, method, encode)
            return grpc.stream_unary_rpc_method_handler(call, _refusing(decode))
        if handler.stream_stream:
            call = self._guard_replies(handler.stream_stream, method)
            return grpc.stream_stream_rpc_method_handler(call, _refusing(decode), encode)
        return handler

    def _guard_reply(
        self, call: Callable[..., Any], method: str, encode: Callable[[Any], bytes] | None
    ) -> Callable[..., Any]:
        async def guarded(request: object, context: Context) -> object:
            async with edge(method, context), self._limited(CallKind.CALL, method, request):
                reply = await call(request, context)
                # Not left to grpc, which would send the error's text.
                return encode(reply) if encode and not context.done() else reply

        return guarded

    def _guard_replies(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def guarded(request: object, context: Context) -> None:
            async with (
                edge(method, context),
                self._limited(CallKind.STREAM, method, request),
                _bounded(context, self._limits.slow_reader_seconds) as bounded,
            ):
                replies = call(request, bounded)
                if inspect.isawaitable(replies):  # writes for itself, as health's Watch does
                    await replies
                    return
                async with aclosing(replies):
                    async for reply in replies:
                        await bounded.write(reply)

        return guarded

    @asynccontextmanager
    async def _limited(self, kind: CallKind, method: str, request: object) -> AsyncIterator[None]:
        if isinstance(request, _Undecodable):
            raise InvalidRequestError(message=_NO_MESSAGE)
        if method.startswith(UNLIMITED):
            yield
            return
        if isinstance(request, Message):  # not so of many, which come later
            check_bounds(request)
        limits = self._limits
        seconds = limits.stream_seconds if kind is CallKind.STREAM else limits.call_seconds
        # A request without a user is one that its handler refuses, or nobody's.
        with self._admission.admit(kind, getattr(request, "user_id", "")):
            try:
                async with asyncio.timeout(seconds) as scope:
                    yield
            except TimeoutError as error:
                if not scope.expired():
                    raise
                raise DeadlineExceededError(
                    f"this server ends such a {kind} after {seconds:g} s",
                    metadata={"seconds": f"{seconds:g}"},
                ) from error


class _BoundedContext:
    """A context whose `write` has the guard's limit, also for handlers that write for themselves."""

    def __init__(self, context: Context, alarm: Alarm, seconds: float, interrupt: Callable[[], None]) -> None:
        self._context = context
        self._alarm = alarm
        self._seconds = seconds
        self._interrupt = interrupt
        self._has_metadata = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)

    async def write(self, reply: object) -> None:
        if not self._has_metadata:
            self._has_metadata = True
            # By themselves: if they left with the first message and that were given up, no abort would pass.
            with suppress(grpc.aio.UsageError):  # the handler sent its own
                await self._context.send_initial_metadata(())
        self._alarm.ring_in(self._seconds, self._interrupt)
        try:
            await self._context.write(reply)
        finally:
            self._alarm.off()


@asynccontextmanager
async def _bounded(context: Context, seconds: float) -> AsyncIterator[_BoundedContext]:
    """A context for one handler, which is interrupted when a message is not read within `seconds`."""
    loop = asyncio.get_running_loop()
    try:
        with closing(Alarm()) as alarm:
            async with asyncio.timeout(None) as scope:
                yield _BoundedContext(context, alarm, seconds, lambda: scope.reschedule(loop.time()))
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise SlowReaderError(
            f"a message was not read within {seconds:g} s", metadata={"seconds": f"{seconds:g}"}
        ) from error


def _refusing(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """For one request of many: the handler, which is at work, gets the error from its iterator."""
    decode = _total(deserialize)
    if decode is None:
        return None

    def decode_or_refuse(data: bytes) -> object:
        request = decode(data)
        if isinstance(request, _Undecodable):
            raise InvalidRequestError(message=_NO_MESSAGE)
        return request

    return decode_or_refuse


def _total(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def decode(data: bytes) -> object:
        try:
            return deserialize(data)
        except Exception:  # noqa: BLE001 - the edge: protobuf raises what it likes
            return _Undecodable()

    return decode


@asynccontextmanager
async def edge(method: str, context: Context) -> AsyncIterator[None]:
    """Whatever the block raises ends the RPC with its status."""
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except grpc.aio.InternalError:
        raise  # grpc could not send: the client is gone, or it has sent the status itself
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # grpc cancelled us: the client is gone, or the server stops. A status sent now would reach
            # nobody, and leave a few hundred bytes behind.
            raise
        logger.warning("rpc leaked a cancellation", extra={"rpc": method})
        await _abort(context, CancelledRunError("cancelled"))
    except OrchestratorError as error:
        logger.info("rpc refused", extra={"rpc": method, "reason": error.reason})
        await _abort(context, error)
    except Exception:
        error_id = uuid4().hex
        logger.exception("rpc failed", extra={"rpc": method, "error_id": error_id})
        await _abort(
            context, OrchestratorError(f"internal error {error_id}", metadata={"error_id": error_id})
        )


async def _abort(context: Context, error: OrchestratorError) -> None:
    """End the RPC with an error, waiting only so long for a caller who does not read."""
    try:
        async with asyncio.timeout(_ABORT_SECONDS) as scope:
            await context.abort_with_status(grpc_status_of(error))
    except TimeoutError:
        if not scope.expired():
            raise
