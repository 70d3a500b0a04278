"""grpc.health.v1, told by the server.

The library's own servicer writes to a watcher while it holds the lock that telling a status needs, so that
one watcher who does not read stops everybody, and a stopping server for ever; and its List is synchronous.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from state.errors import NotFoundError
from state.violations import Resource

Request = health_pb2.HealthCheckRequest
Response = health_pb2.HealthCheckResponse
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class HealthServicer(health_pb2_grpc.HealthServicer):
    """What was told last, of each service by name; after `stop` NOT_SERVING, for good."""

    def __init__(self) -> None:
        self._states: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._stopped = False

    def tell(self, service: str, state: int) -> None:
        if not self._stopped and self._states.get(service) != state:
            self._states[service] = state
            self._wake()

    def stop(self) -> None:
        self._stopped = True
        self._states = dict.fromkeys(self._states, Response.NOT_SERVING)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: Request, context: Context) -> Response:
        del context
        if request.service not in self._states:
            raise NotFoundError("no such service", Resource("service", request.service))
        return Response(status=self._states[request.service])

    async def List(self, request: object, context: Context) -> Message:
        del request, context
        # Newer than the type stubs know.
        listed: Callable[..., Message] = vars(health_pb2)["HealthListResponse"]
        return listed(statuses={name: Response(status=state) for name, state in self._states.items()})

    async def Watch(self, request: Request, context: Context) -> AsyncGenerator[Response]:
        del context
        last: int | None = None
        while True:
            changed = self._changed
            state = self._states.get(request.service, Response.SERVICE_UNKNOWN)
            if state != last:
                yield Response(status=state)
                last = state
            else:
                await changed.wait()
