"""The outermost edge of every RPC: whatever happens inside leaves as the right status, as nothing else."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

import grpc

from orchestrator.codec.errors import grpc_status_of
from state.errors import InvalidRequestError, OrchestratorError

logger = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"


@dataclass(frozen=True, slots=True)
class _Undecodable:
    """Stands where a request would be whose bytes are none."""


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Turns exceptions into statuses, for handlers of every kind.

    Without it grpc.aio puts `str(exception)` on the wire, answers nothing at all when our own code leaks a
    CancelledError, and calls bytes that are no message an unknown error.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _guard_unary(handler.unary_unary, method),
                _total(handler.request_deserializer),
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(handler.unary_stream, method),
                _total(handler.request_deserializer),
                handler.response_serializer,
            )
        return handler  # client-streaming kinds: only server reflection uses them here


def _total(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def decode(data: bytes) -> object:
        try:
            return deserialize(data)
        except Exception:  # noqa: BLE001 - the edge: protobuf raises what it likes
            return _Undecodable()

    return decode


def _guard_unary(call: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def guarded(request: object, context: Context) -> object:
        async with _edge(method, context):
            _refuse_undecodable(request)
            return await call(request, context)

    return guarded


def _guard_stream(call: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def guarded(request: object, context: Context) -> None:
        async with _edge(method, context):
            _refuse_undecodable(request)
            replies = call(request, context)
            if inspect.isawaitable(replies):  # writes for itself, as health's Watch does
                await replies
                return
            async with aclosing(replies):
                async for reply in replies:
                    await context.write(reply)

    return guarded


def _refuse_undecodable(request: object) -> None:
    if isinstance(request, _Undecodable):
        raise InvalidRequestError(message="the request's bytes are no valid message of its type")


@asynccontextmanager
async def _edge(method: str, context: Context) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # grpc cancelled us: the client is gone, or the server stops
        logger.warning("rpc leaked a cancellation", extra={"rpc": method})
        await context.abort(grpc.StatusCode.CANCELLED, "cancelled")
    except OrchestratorError as error:
        logger.info("rpc refused", extra={"rpc": method, "reason": error.reason})
        await context.abort_with_status(grpc_status_of(error))
    except Exception:
        error_id = uuid4().hex
        logger.exception("rpc failed", extra={"rpc": method, "error_id": error_id})
        await context.abort_with_status(grpc_status_of(OrchestratorError(f"internal error {error_id}")))
