"""Listen, serve, and leave in good order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from llm_orchestrator_client.tool_service.auth import Authenticator
from llm_orchestrator_client.tool_service.described.tools import DescribedTools
from llm_orchestrator_client.tool_service.dispatch import Dispatch
from llm_orchestrator_client.tool_service.edge import Edge
from llm_orchestrator_client.tool_service.handlers.all import ToolHandlers
from llm_orchestrator_client.tool_service.idempotency import CallStore, MemoryCallStore
from llm_orchestrator_client.tool_service.options import ServerOptions
from llm_orchestrator_client.tool_service.rpcs import SERVICE
from llm_orchestrator_client.tool_service.service import ToolService

_LAST_SECONDS = 0.2
_NAMES = ("", SERVICE.full_name)


class AddressInUseError(Exception):
    """The address cannot be listened on; the message says which."""


class ToolServiceServer:
    """Serves a backend's tools inside its context, in the event loop that enters it.

    Without an `authenticator` anyone who can connect may call. `described` are tools beyond the typed ones.
    `calls` remembers what was done; give one of your own when several processes serve the same users. While
    `switched_on` says no every tool answers UNIMPLEMENTED, which the orchestrator takes as off for a minute.
    On the way out it is NOT_SERVING, takes no more calls, lets those at work end within the grace, and
    cancels the rest.
    """

    def __init__(
        self,
        handlers: ToolHandlers,
        options: ServerOptions,
        *,
        authenticator: Authenticator | None = None,
        described: DescribedTools | None = None,
        calls: CallStore | None = None,
        switched_on: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Raises: UnsafeAddressError: Others than this machine could call without TLS or without a token."""
        options.check(authenticated=authenticator is not None)
        self._options = options
        dispatch = Dispatch(
            handlers,
            DescribedTools() if described is None else described,
            MemoryCallStore() if calls is None else calls,
            max_bytes=options.max_send_bytes,
        )
        self._edge = Edge(
            authenticator,
            max_concurrency=options.max_concurrency,
            max_call_seconds=options.max_call_seconds,
            switched_on=switched_on,
        )
        self._service = ToolService(dispatch, self._edge)
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Raises: AddressInUseError: Nothing can listen there. TLSFileError: A file cannot be read."""
        server = grpc.aio.server(options=self._options.channel_arguments())
        server.add_generic_rpc_handlers((self._service,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._options.reflection:
            _reflect(server)
        self.port = _bind(server, self._options)
        await server.start()
        self._server = server
        await self.set_serving(True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._edge.drain()
        stopping = asyncio.create_task(server.stop(self._options.grace_seconds))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.grace_seconds):
                    await self._edge.idle()
            # Nothing is left but who watches health; without one it has stopped by now.
            await asyncio.wait({stopping}, timeout=_LAST_SECONDS)
        finally:
            await server.stop(None)
            await stopping

    @property
    def address(self) -> str:
        """Where it listens, with the port that was picked."""
        address = self._options.address
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{self.port}"

    async def set_serving(self, serving: bool) -> None:
        """What gRPC's health service answers from now on."""
        response = health_pb2.HealthCheckResponse
        for name in _NAMES:
            await self._health.set(name, response.SERVING if serving else response.NOT_SERVING)


def _bind(server: grpc.aio.Server, options: ServerOptions) -> int:
    credentials = None if options.tls is None else options.tls.credentials()
    try:
        if credentials is None:
            return server.add_insecure_port(options.address)
        return server.add_secure_port(options.address, credentials)
    except RuntimeError as error:
        raise AddressInUseError(
            f"cannot listen on {options.address}: is something else listening there?"
        ) from error


def _reflect(server: grpc.aio.Server) -> None:
    # Only who wants it needs the package.
    from grpc_reflection.v1alpha import reflection

    names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
