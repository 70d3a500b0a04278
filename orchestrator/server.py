"""Listen, serve, and leave in good order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from orchestrator.health import HealthService
from orchestrator.health_servicer import HealthServicer
from orchestrator.interceptors import GuardInterceptor
from orchestrator.servicer import SERVICE, OrchestratorServicer
from orchestrator.supervisor import RunSupervisor
from orchestrator.unread import UnreadInterceptor
from protos import orchestrator_pb2_grpc as rpc

logger = logging.getLogger(__name__)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


_READINESS_SECONDS = 1.0
_LAST_CHUNKS_SECONDS = 2.0
_REFUSING_SECONDS = 1.0
_QUIET_SECONDS = 0.1
_LAST_REFUSALS_SECONDS = 0.3
"""Short, because who watches health stays until the end of it."""
_MOST_PENDING = 1_000_000


class AddressInUseError(Exception):
    """The address cannot be listened on; the message says which."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen, and the limits of connections and messages. Times in seconds, sizes in bytes."""

    address: str
    max_receive_bytes: int
    max_send_bytes: int
    max_metadata_bytes: int
    keepalive_seconds: float
    keepalive_timeout_seconds: float
    min_ping_interval_seconds: float
    connection_age_seconds: float
    connection_grace_seconds: float
    max_connections: int
    max_streams_per_connection: int
    request_seconds: float
    max_unread_calls: int

    def channel_arguments(self) -> Sequence[tuple[str, int]]:
        """gRPC's names for them; its times are in milliseconds."""
        timeout = int(self.keepalive_timeout_seconds * 1000)
        arguments = [
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.max_metadata_size", self.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.max_metadata_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half the calls
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", timeout),
            ("grpc.http2.ping_timeout_ms", timeout),  # without it a silent peer is given a minute more
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", int(self.min_ping_interval_seconds * 1000)),
            # Of what waits for a handler gRPC would cancel some as CANCELLED; we refuse, and say why.
            ("grpc.server.max_pending_requests", _MOST_PENDING),
            ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
            ("grpc.max_allowed_incoming_connections", self.max_connections),
            ("grpc.max_concurrent_streams", self.max_streams_per_connection),
            # Who connects and says nothing is closed after as long as a request may take.
            ("grpc.server_handshake_timeout_ms", int(self.request_seconds * 1000)),
            ("grpc.http2.bdp_probe", 0),  # else a reader that stands still is given megabytes first
        ]
        if self.connection_age_seconds:
            arguments += [
                ("grpc.max_connection_age_ms", int(self.connection_age_seconds * 1000)),
                ("grpc.max_connection_age_grace_ms", int(self.connection_grace_seconds * 1000)),
            ]
        return arguments


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that serves. `died` completes when it has lost a part it cannot do without."""

    port: int
    readiness: asyncio.Task[None]

    async def died(self) -> None:
        await asyncio.wait({self.readiness})
        if not self.readiness.cancelled():
            self.readiness.result()


@dataclass(frozen=True, slots=True)
class Entrance:
    """What calls pass before their requests are read, and what of that must not die.

    `first`: interceptors, who see calls as their callers do, and requests as iterators.
    `credentials`: None = plain text.
    """

    first: Sequence[grpc.aio.ServerInterceptor] = ()
    credentials: grpc.ServerCredentials | None = None
    deaths: Mapping[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)


OPEN = Entrance()


@asynccontextmanager
async def listening(
    servicer: OrchestratorServicer,
    health_service: HealthService,
    supervisor: RunSupervisor,
    guard: GuardInterceptor,
    options: ServerOptions,
    *,
    entrance: Entrance = OPEN,
) -> AsyncIterator[Listening]:
    """Serve inside the block. On the way out: NOT_SERVING, drain the runs, let handlers end, close.

    Raises:
        AddressInUseError: Nothing can listen there.
    """
    status = HealthServicer()
    server = _offering(servicer, status, guard, options, entrance)
    port = _bind(server, options.address, entrance.credentials)
    await server.start()
    readiness = asyncio.create_task(_tell_readiness(health_service, status), name="readiness")
    try:
        yield Listening(port, readiness)
    finally:
        readiness.cancel()
        await asyncio.gather(readiness, return_exceptions=True)
        status.stop()
        await supervisor.drain()
        with suppress(TimeoutError):
            # The runs have ended: this is for their last chunks. Then nothing is left but who watches health.
            async with asyncio.timeout(_LAST_CHUNKS_SECONDS):
                await guard.idle()
        with suppress(TimeoutError):
            # What it has not handed to us when it stops gRPC ends as CANCELLED: better to refuse that first.
            async with asyncio.timeout(_REFUSING_SECONDS):
                await guard.quiet(_QUIET_SECONDS)
        await server.stop(_LAST_REFUSALS_SECONDS)


def _offering(
    servicer: OrchestratorServicer,
    status: HealthServicer,
    guard: GuardInterceptor,
    options: ServerOptions,
    entrance: Entrance,
) -> grpc.aio.Server:
    unread = UnreadInterceptor(options.request_seconds, options.max_unread_calls)
    server = grpc.aio.server(
        interceptors=[*entrance.first, unread, guard], options=options.channel_arguments()
    )
    rpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is not None:
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise AddressInUseError(f"cannot listen on {address}: is something else listening there?") from error


async def _tell_readiness(service: HealthService, status: HealthServicer) -> None:
    """Keep grpc.health.v1 in step with the service: "" is the process, the service's name is readiness."""
    status.tell("", _SERVING)
    while True:
        ready = await service.ready()
        status.tell(SERVICE.full_name, _SERVING if ready else _NOT_SERVING)
        await asyncio.sleep(_READINESS_SECONDS)
