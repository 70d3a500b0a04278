"""Calls whose request has not come yet: so many, and for so long.

grpc waits for the one request of a unary call before it calls anybody, for ever, and counts that nowhere. So
a caller of headers only would hold calls that no limit of ours sees. Read here, behind those interceptors
that look at headers alone, the request of such a call is waited for within limits.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from orchestrator.interceptors import UNLIMITED, Context, edge
from state.errors import DeadlineExceededError, InvalidRequestError, OverloadedError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"


class UnreadInterceptor(grpc.aio.ServerInterceptor):
    """Those outside see handlers whose requests are iterators; those inside, of the kind that they were.

    `seconds`: how long a request may take to come. `most`: how many calls may wait for theirs at the same
    time; health and reflection have no part in that, but the time holds for them too. When there is one more
    the call that has waited longest is refused: an honest caller's request is there a moment after its
    headers, so whoever holds places without sending anything loses them to who does send.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._waiting: dict[asyncio.Timeout, None] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        method = handler_call_details.method
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary:
            reply = self._reading(handler.unary_unary, method)
            return grpc.stream_unary_rpc_method_handler(reply, *coders)
        if handler.unary_stream:
            replies = self._reading(handler.unary_stream, method)
            return grpc.stream_stream_rpc_method_handler(replies, *coders)
        return handler

    def _reading(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def read(requests: AsyncIterator[object], context: Context) -> object:
            async with edge(method, context):
                request = await self._first(requests, method)
            return await call(request, context)

        return read

    async def _first(self, requests: AsyncIterator[object], method: str) -> object:
        has_place = not method.startswith(UNLIMITED)
        scope = asyncio.timeout(self._seconds)
        try:
            async with scope:
                if has_place:
                    self._take_place(scope)
                return await anext(requests)
        except StopAsyncIteration:
            raise InvalidRequestError(message="the call has no request") from None
        except TimeoutError as error:
            if has_place and scope not in self._waiting:
                raise OverloadedError(
                    f"this server waits for the requests of {self._most} calls, as many as it may",
                    metadata={"limit": str(self._most)},
                ) from error
            raise DeadlineExceededError(
                f"the request did not come within {self._seconds:g} s",
                metadata={"seconds": f"{self._seconds:g}"},
            ) from error
        finally:
            self._waiting.pop(scope, None)

    def _take_place(self, scope: asyncio.Timeout) -> None:
        """Take one, from the call that has had its own for longest if there is none left."""
        if len(self._waiting) >= self._most:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.reschedule(asyncio.get_running_loop().time())
        self._waiting[scope] = None
