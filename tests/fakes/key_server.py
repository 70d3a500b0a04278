"""A server that publishes a JSON Web Key Set."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class KeyServer:
    """`keys` are what it publishes now; `body` and `status` may replace that. `asked`: how often it was."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys: Sequence[dict[str, Any]] = keys
        self.body: bytes | None = None
        self.status = 200
        self.asked = 0
        self.url = ""
        self._more = asyncio.Event()

    async def was_asked(self, times: int) -> None:
        """Return when it was asked so often in all."""
        async with asyncio.timeout(10):
            while self.asked < times:
                self._more.clear()
                await self._more.wait()

    async def answer(self, request: web.Request) -> web.Response:
        del request
        self.asked += 1
        self._more.set()
        if self.body is not None:
            return web.Response(body=self.body, status=self.status, headers={"Location": self.url})
        return web.json_response({"keys": list(self.keys)}, status=self.status)


@asynccontextmanager
async def key_server(*keys: dict[str, Any]) -> AsyncIterator[KeyServer]:
    """One, on a free port."""
    server, app = KeyServer(*keys), web.Application()
    app.router.add_get("/keys", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        yield server
    finally:
        await runner.cleanup()
