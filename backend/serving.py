"""Listen, serve, and leave in good order."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from backend.settings import ServerSettings


class AddressInUseError(Exception):
    """Nothing can listen there; the message says where."""


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which would end the process before the parts are closed."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(app: FastAPI, settings: ServerSettings) -> AsyncIterator[str]:
    """Serve inside the block; its value is host:port. On the way out requests have `drain_seconds`.

    Raises:
        AddressInUseError: The address cannot be listened on.
    """
    listener = _bound(settings.address)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve([listener]), name="serve-http")
    listening = asyncio.create_task(server.listening.wait(), name="http-listens")
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield f"{settings.address.rpartition(':')[0]}:{listener.getsockname()[1]}"
    finally:
        listening.cancel()
        server.should_exit = True
        await running
        # Uvicorn cancels what the drain has not ended, and does not wait for it.
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except (OSError, ValueError) as error:
        listener.close()
        raise AddressInUseError(f"cannot listen on {address}: is something else listening there?") from error
    return listener
