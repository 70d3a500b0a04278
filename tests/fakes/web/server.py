"""A small HTTP server of strangers: it answers what it was told and keeps what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it arrived."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class WebServer:
    """What it answers by path, and what it heard. A path that is not known is 404."""

    address: str
    port: int
    answers: dict[str, Handler] = field(default_factory=dict)
    ledger: list[Heard] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends all answers that hang."""
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each request."""

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [heard.path for heard in self.ledger]

    def says(
        self,
        path: str,
        body: str | bytes = b"",
        *,
        status: int = 200,
        kind: str = "text/html",
        **headers: str,
    ) -> None:
        """Answer a path with this. Headers are written with underscores."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=data, status=status, headers={"Content-Type": kind, **named})

        self.answers[path] = answer

    def says_json(self, path: str, value: Any, *, status: int = 200, **headers: str) -> None:
        """Answer a path with JSON."""
        self.says(path, json.dumps(value), status=status, kind="application/json", **headers)

    def redirects(self, path: str, location: str, status: int = 302) -> None:
        """Lead elsewhere."""
        self.says(path, status=status, Location=location)

    def hangs(self, path: str) -> None:
        """Never answer, until released."""

        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            await self.released.wait()
            return web.Response()

        self.answers[path] = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keep it, and answer."""
        self.ledger.append(
            Heard(
                request.method,
                request.host,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                await request.read(),
            )
        )
        self.heard.set()
        answer = self.answers.get(request.path)
        return web.Response(status=404) if answer is None else await answer(request)


@asynccontextmanager
async def web_server(address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[WebServer]:
    """Serve while the block runs."""
    server = WebServer(address, port)
    runner = web.ServerRunner(web.Server(server.handle), handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, address, port, reuse_address=True)
    try:
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        server.released.set()
        await runner.cleanup()
