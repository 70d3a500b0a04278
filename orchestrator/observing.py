"""Watches every RPC from outside all else, so that what it counts is what callers see.

Each handler stays of its kind: one that writes for itself, as the guard's and health's Watch do, is awaited;
one that yields is iterated. Per message of a stream it costs one call that reads the clock.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias
from uuid import uuid4

import grpc

from telemetry import traceparent
from telemetry.scope import within

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"

_REQUEST_ID = "x-request-id"
_SPEAKABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class CallWatch(Protocol):
    """One call."""

    @property
    def traceparent(self) -> str: ...
    def sent(self) -> None: ...
    def ended(self, code: str) -> None: ...


class CallObserver(Protocol):
    """Is told of every call. The scope it is told in is that of the caller."""

    def began(self, method: str, *, stream: bool) -> CallWatch: ...
    def unknown(self) -> None: ...


class ObservingInterceptor(grpc.aio.ServerInterceptor):
    """The outermost of a server's interceptors. Fills the scope from the metadata, and tells `observer`."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        if handler is None:
            self._observer.unknown()
            return None
        method = handler_call_details.method.lstrip("/")
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary:
            reply = self._reply(handler.unary_unary, method)
            return grpc.unary_unary_rpc_method_handler(reply, *coders)
        if handler.unary_stream:
            replies = self._replies(handler.unary_stream, method)
            return grpc.unary_stream_rpc_method_handler(replies, *coders)
        if handler.stream_unary:
            reply = self._reply(handler.stream_unary, method)
            return grpc.stream_unary_rpc_method_handler(reply, *coders)
        if handler.stream_stream:
            replies = self._replies(handler.stream_stream, method)
            return grpc.stream_stream_rpc_method_handler(replies, *coders)
        return handler

    def _reply(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def observed(request: object, context: Context) -> object:
            with within(**_of_caller(context)):
                watch = self._observer.began(method, stream=False)
                return await _told(watch, context, call(request, context))

        return observed

    def _replies(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def observed(request: object, context: Context) -> None:
            with within(**_of_caller(context)):
                watch = self._observer.began(method, stream=True)
                counting = _CountingContext(context, watch)
                await _told(watch, context, written(call(request, counting), counting))

        return observed


class _Writes(Protocol):
    def write(self, reply: object, /) -> Awaitable[None]: ...


class _CountingContext:
    """A context that tells of each message. `write` is no coroutine of its own: that would cost more."""

    __slots__ = ("_context", "_sent", "_write")

    def __init__(self, context: Context, watch: CallWatch) -> None:
        self._context = context
        self._write = context.write
        self._sent = watch.sent

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)

    def write(self, reply: object) -> Awaitable[None]:
        self._sent()
        return self._write(reply)


async def written(replies: Any, context: _Writes) -> None:  # noqa: ANN401 - either kind of handler
    """Await a handler that writes for itself; write what another one yields."""
    if inspect.isawaitable(replies):
        await replies
        return
    async with aclosing(replies):
        async for reply in replies:
            await context.write(reply)


async def _told(watch: CallWatch, context: Context, call: Awaitable[object]) -> object:
    """What the call gives, in the scope of its span; tells how it ended, whatever that was."""
    code = "INTERNAL"
    try:
        with within(traceparent=watch.traceparent):
            result = await call
        code = _status(context)
        return result
    except grpc.aio.AbortError:
        code = _status(context)
        raise
    except (asyncio.CancelledError, grpc.aio.InternalError):
        # grpc says only that the call is over. Whose deadline has passed need not be told any more.
        left = context.time_remaining()
        code = "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED"
        raise
    finally:
        watch.ended(code)


def _status(context: Context) -> str:
    code: object = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code or 0, "UNKNOWN")  # type: ignore[call-overload]


def _of_caller(context: Context) -> dict[str, str]:
    """What the metadata say of the trace and the request. Text that might be anything goes no further."""
    told = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    request_id = told.get(_REQUEST_ID, "")
    return {
        "traceparent": traceparent.checked(told.get(traceparent.HEADER, "")),
        "request_id": request_id if _SPEAKABLE.fullmatch(request_id) else uuid4().hex,
    }
