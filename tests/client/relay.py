"""What stands between a caller and the service: a gRPC server that passes calls on, and can fail them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from orchestrator.codec.errors import grpc_status_of
from state.errors import DrainingError
from tests.harness.certificates import Certificate

_STREAMS = ("StreamChat", "ResumeStream", "WatchTask")


@dataclass(frozen=True)
class Passed:
    """One call that came by: its method's last name, metadata and request as sent."""

    method: str
    metadata: dict[str, str]
    request: bytes


@dataclass
class Relay:
    """`lose`: how many answers of a method are lost, their effect done, and `lost_as` what.

    `draining`: how many calls of a method are refused as by a server that stops. `token`: what calls have to
    bring.
    `cut_after`: messages after which a stream breaks, one number per stream; with `stalls` it only says
    nothing more. `silent`: streams say nothing, not even metadata, until it is set.
    """

    upstream: grpc.aio.Channel
    port: int = 0
    passed: list[Passed] = field(default_factory=list)
    lose: Counter[str] = field(default_factory=Counter)
    lost_as: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    draining: Counter[str] = field(default_factory=Counter)
    cut_after: list[int] = field(default_factory=list)
    token: str = ""
    stalls: bool = False
    silent: asyncio.Event | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def of(self, method: str) -> list[Passed]:
        """The calls of one method."""
        return [call for call in self.passed if call.method == method]

    async def note(self, path: str, request: bytes, context: Any) -> str:
        """Write a call down, and refuse it without the token; the method's last name."""
        method = path.rpartition("/")[2]
        metadata = dict(context.invocation_metadata())
        self.passed.append(Passed(method, metadata, request))
        if self.token and metadata.get("authorization") != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return method

    def _unary(self, path: str) -> Any:
        return self.upstream.unary_unary(path)

    def _stream(self, path: str) -> Any:
        return self.upstream.unary_stream(path)

    async def unary(self, path: str, request: bytes, context: Any) -> bytes:
        method = await self.note(path, request, context)
        if self.draining[method] > 0:
            self.draining[method] -= 1
            await context.abort_with_status(grpc_status_of(DrainingError("this server is stopping")))
        call: grpc.aio.UnaryUnaryCall[bytes, bytes] = self._unary(path)(request)
        try:
            answer: bytes = await call
        except grpc.aio.AioRpcError as error:
            await _fail_as(error, context)
        if self.lose[method] > 0:
            self.lose[method] -= 1
            await context.abort(self.lost_as, "the answer was lost")
        return answer

    async def stream(self, path: str, request: bytes, context: Any) -> AsyncIterator[bytes]:
        await self.note(path, request, context)
        call: grpc.aio.UnaryStreamCall[bytes, bytes] = self._stream(path)(request)
        left = self.cut_after.pop(0) if self.cut_after else -1
        try:
            metadata = await call.initial_metadata()
            if self.silent is not None:
                await self.silent.wait()
            await context.send_initial_metadata(tuple(metadata))
            async for message in call:
                if left == 0 and self.stalls:
                    await asyncio.Event().wait()
                if left == 0:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
                left -= 1
                yield message
        except grpc.aio.AioRpcError as error:
            await _fail_as(error, context)
        finally:
            call.cancel()


async def _fail_as(error: grpc.aio.AioRpcError, context: Any) -> None:
    kept = tuple((k, v) for k, v in error.trailing_metadata() if k == "grpc-status-details-bin")
    await context.abort(error.code(), error.details(), kept)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        path, relay = handler_call_details.method, self._relay

        async def unary(request: bytes, context: Any) -> bytes:
            return await relay.unary(path, request, context)

        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            async for message in relay.stream(path, request, context):
                yield message

        if path.endswith(_STREAMS):
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def relaying(target: str, *, certificate: Certificate | None = None) -> AsyncIterator[Relay]:
    """A relay in front of a service; with a certificate it speaks TLS."""
    async with grpc.aio.insecure_channel(target) as upstream:
        relay = Relay(upstream)
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((_Handler(relay),))
        if certificate is None:
            relay.port = server.add_insecure_port("127.0.0.1:0")
        else:
            relay.port = server.add_secure_port("127.0.0.1:0", certificate.server_credentials())
        await server.start()
        try:
            yield relay
        finally:
            await server.stop(None)
