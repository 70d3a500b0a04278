"""A channel that spreads calls over replicas, and calls with credentials, a deadline and typed errors."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from llm_orchestrator_client import errors
from llm_orchestrator_client.options import TLS, Options, Token
from llm_orchestrator_client.protos import orchestrator_pb2_grpc as rpc

SERVICE = "orchestrator.OrchestratorService"
# Repeating one of these has no second effect: it reads, it is idempotent, or it carries a request_id, which
# this package always fills in. DeleteConversation is not among them: its repetition would say NOT_FOUND.
# HealthCheck neither: it is to say how things stand. Streams are taken up by sequence instead.
REPEATABLE = (
    "StartTask",
    "GetTaskStatus",
    "ApprovePermission",
    "GetPendingPermissions",
    "CancelTask",
    "ListTasks",
    "RetryTask",
    "ListCheckpoints",
    "GetUsage",
    "GetServerInfo",
    "GetProviderStatus",
)

_DRAINING = "DRAINING"
_DRAINING_SECONDS = 0.2
"""After so long another replica is asked, or the one that has taken the place of this."""

Metadata = tuple[tuple[str, str], ...]
Response = TypeVar("Response")


def service_config(attempts: int) -> str:
    """gRPC's service config: round-robin; what was left off is tried again if it has no second effect."""
    retry = {
        "maxAttempts": attempts,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 3,
        # CANCELLED, where we have not: a server that stops has not let the call end.
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    names = [{"service": SERVICE, "method": method} for method in REPEATABLE]
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if attempts > 1:
        config["methodConfig"] = [{"name": names, "retryPolicy": retry}]
        # When most calls fail, trying again only adds to the load.
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.5}
    return json.dumps(config)


def channel_options(options: Options) -> list[tuple[str, str | int]]:
    """What the channel is made with."""
    named: dict[str, str | int] = {
        "grpc.service_config": service_config(options.attempts),
        "grpc.max_receive_message_length": options.max_message_bytes,
        "grpc.max_send_message_length": options.max_message_bytes,
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        "grpc.http2.ping_timeout_ms": 10_000,  # without it a silent peer is given a minute more
        # A replica that is back is found again within a second, not after two minutes.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.min_reconnect_backoff_ms": 5_000,  # also the most that making a connection, with TLS, may take
        "grpc.max_reconnect_backoff_ms": 1_000,
        **dict(options.channel_options),
    }
    if options.tls is not None and options.tls.server_name:
        named["grpc.ssl_target_name_override"] = options.tls.server_name
    return list(named.items())


class Connection:
    """A channel to the orchestrator, closed by `async with`; all calls of this package go through it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._channel = _channel(options)
        self.stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(self._channel)
        self._repeatable = (
            {getattr(self.stub, name) for name in REPEATABLE} if options.attempts > 1 else set()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def call(
        self, method: Callable[..., Awaitable[Response]], request: object, *, seconds: float | None = None
    ) -> Response:
        """One call that does not stream, within `seconds` (None: the options').

        gRPC's own attempts may all come to a server that stops, however few of them stop: what has no second
        effect is tried again for as long as it is that which refuses.

        Raises:
            OrchestratorError: As its classes say.
        """
        limit = self.options.call_seconds if seconds is None else seconds
        ends_at = monotonic() + limit
        while True:
            left = max(0.0, ends_at - monotonic())
            try:
                return await method(request, timeout=left, metadata=await self._metadata())
            except grpc.aio.AioRpcError as error:
                raised = errors.from_call(error)
                again = method in self._repeatable and raised.reason == _DRAINING
                if not again or monotonic() + _DRAINING_SECONDS >= ends_at:
                    raise raised from error
            await asyncio.sleep(_DRAINING_SECONDS)

    async def open(
        self,
        method: "Callable[..., grpc.aio.UnaryStreamCall[Any, Response]]",
        request: object,
        *,
        seconds: float | None = None,
    ) -> "grpc.aio.UnaryStreamCall[Any, Response]":
        """A streaming call, begun; None = without a deadline. Whoever opens it cancels it."""
        return method(request, timeout=seconds, metadata=await self._metadata())

    async def _metadata(self) -> Metadata:
        token = await _current(self.options.token)
        return (("authorization", f"Bearer {token}"),) if token else ()


def _channel(options: Options) -> grpc.aio.Channel:
    if options.tls is None:
        return grpc.aio.insecure_channel(options.uri(), options=channel_options(options))
    return grpc.aio.secure_channel(options.uri(), _credentials(options.tls), options=channel_options(options))


def _credentials(tls: TLS) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)


async def _current(token: Token | None) -> str | None:
    if token is None or isinstance(token, str):
        return token
    given = token()
    return await given if isawaitable(given) else given
