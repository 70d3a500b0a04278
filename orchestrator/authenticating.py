"""Who calls, found out before anything of the request is read: the interceptor right after the observer.

Whoever is not known is refused by the headers alone, and so takes no place among those whose requests are
waited for. It fills the `user_id` that a user's request leaves empty, so that everything inside sees one rule
only: a request is its `user_id`'s. Running streams are not looked at again: a token's end ends none.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Self, TypeAlias

import grpc
from google.protobuf.message import Message

from orchestrator.identity.authenticator import Authenticator
from orchestrator.identity.principals import Principal, UserPrincipal, acting_for
from orchestrator.interceptors import edge
from orchestrator.observing import written
from state.errors import UnauthenticatedError

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"

_OPEN = "/grpc.health.v1.Health/"
"""Probes have no tokens, and learn one word."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)


class AuthenticatingInterceptor(grpc.aio.ServerInterceptor):
    """Lets nobody in whom `authenticator` does not know. Health is open; reflection is not.

    What is inside reads the requests by itself, as the handlers of `UnreadInterceptor` do.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN):
            return handler
        coders = (handler.request_deserializer, handler.response_serializer)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._reply(handler.stream_unary, method), *coders)
        if handler.stream_stream:
            replies = self._replies(handler.stream_stream, method)
            return grpc.stream_stream_rpc_method_handler(replies, *coders)
        raise TypeError(f"{method} has a handler whose request is read before its caller is known")

    def _reply(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def authenticated(requests: AsyncIterator[object], context: Context) -> object:
            async with edge(method, context):
                principal = await self._caller(context)
            return await call(_Owned(requests, principal), context)

        return authenticated

    def _replies(self, call: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def authenticated(requests: AsyncIterator[object], context: Context) -> None:
            async with edge(method, context):
                principal = await self._caller(context)
            await written(call(_Owned(requests, principal), context), context)

        return authenticated

    async def _caller(self, context: Context) -> Principal:
        return await self._authenticator.principal(_token(context), _names(context))


class _Owned:
    """Requests that are made their caller's as they come; no generator, which would have to be closed."""

    def __init__(self, requests: AsyncIterator[object], principal: Principal) -> None:
        self._requests = requests
        self._principal = principal

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        request = await anext(self._requests)
        _own(request, self._principal)
        return request


def _token(context: Context) -> str | None:
    """The bearer token; None where there is no `authorization` at all."""
    sent = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if not sent:
        return None
    match = _BEARER.fullmatch(sent[0]) if len(sent) == 1 and isinstance(sent[0], str) else None
    if match is None:
        raise UnauthenticatedError("one bearer token is needed")
    return match[1]


def _names(context: Context) -> Sequence[str]:
    """Of a certificate that gRPC has verified: its URIs, then its common name."""
    shown = context.auth_context()
    uris = (name.decode(errors="replace") for name in shown.get("peer_uri", ()))
    named = (f"CN={name.decode(errors='replace')}" for name in shown.get("x509_common_name", ()))
    # Nobody checks that an URI is one: it may not pass for a name of the other kind.
    return [*(uri for uri in uris if not uri.startswith("CN=")), *named]


def _own(request: object, principal: Principal) -> None:
    """Make a request its caller's, in place.

    Raises:
        PermissionDeniedError: It names a user whom the caller may not act for.
    """
    if not isinstance(request, Message):
        return  # bytes that are none, which the guard refuses, or a stream of questions to reflection
    fields = request.DESCRIPTOR.fields_by_name
    if "user_id" in fields:
        named: str = getattr(request, "user_id")  # noqa: B009 - of whichever message it is
        setattr(request, "user_id", acting_for(principal, named))  # noqa: B010
    if "permission_grants" in fields and isinstance(principal, UserPrincipal):
        request.ClearField("permission_grants")  # only a service may say what need not be asked
