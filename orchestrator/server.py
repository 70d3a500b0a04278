"""Listen, serve, and leave in good order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from orchestrator.health import HealthService
from orchestrator.interceptors import GuardInterceptor
from orchestrator.servicer import SERVICE, OrchestratorServicer
from orchestrator.supervisor import RunSupervisor
from protos import orchestrator_pb2_grpc as rpc

logger = logging.getLogger(__name__)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class AddressInUseError(Exception):
    """The address cannot be listened on; the message says which."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen and how large a message may be, in bytes."""

    address: str
    max_receive_bytes: int
    max_send_bytes: int
    ready_poll_seconds: float = 1.0

    def channel_arguments(self) -> Sequence[tuple[str, int]]:
        return (
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not take half the calls
        )


@asynccontextmanager
async def listening(
    servicer: OrchestratorServicer,
    health_service: HealthService,
    supervisor: RunSupervisor,
    options: ServerOptions,
) -> AsyncIterator[int]:
    """Serve inside the block; yield the bound port. On the way out: NOT_SERVING, drain the runs, close.

    Raises:
        AddressInUseError: Nothing can listen there.
    """
    server = grpc.aio.server(interceptors=[GuardInterceptor()], options=options.channel_arguments())
    status = health.aio.HealthServicer()
    rpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    port = _bind(server, options.address)
    await server.start()
    watch = asyncio.create_task(
        _tell_readiness(health_service, status, options.ready_poll_seconds), name="readiness"
    )
    try:
        yield port
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await status.enter_graceful_shutdown()
        await supervisor.drain()
        await server.stop(1.0)  # the runs have ended: this is for their last chunks


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise AddressInUseError(f"cannot listen on {address}: is something else listening there?") from error


async def _tell_readiness(service: HealthService, status: health.aio.HealthServicer, seconds: float) -> None:
    """Keep grpc.health.v1 in step with the service: "" is the process, the service's name is readiness."""
    await status.set("", _SERVING)
    while True:
        ready = await service.ready()
        await status.set(SERVICE.full_name, _SERVING if ready else _NOT_SERVING)
        await asyncio.sleep(seconds)
