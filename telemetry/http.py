"""The HTTP port for those who watch: /metrics, /healthz (the process lives) and /readyz (it takes calls)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from telemetry.names import SCRAPE_FAILED, Metric
from telemetry.registry import Registry

_READ_SECONDS = 1.0
"""For what has to be looked up: a scrape without it is better than none."""

LookedUp = Callable[[], Awaitable[Mapping[Metric, float | None]]]


class MetricsAddressError(Exception):
    """The address of the metrics cannot be listened on; the message says which."""


class _Pages:
    def __init__(self, registry: Registry, look_up: LookedUp, ready: Callable[[], Awaitable[bool]]) -> None:
        self._registry = registry
        self._look_up = look_up
        self._ready = ready

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        values: Mapping[Metric, float | None] = {}
        try:
            async with asyncio.timeout(_READ_SECONDS):
                values = await self._look_up()
        except TimeoutError:
            pass
        self._registry.tell({**values, SCRAPE_FAILED: float(not values)})
        return web.Response(body=self._registry.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        del request
        ready = await self._ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)


@asynccontextmanager
async def pages_at(
    address: str, registry: Registry, look_up: LookedUp, ready: Callable[[], Awaitable[bool]]
) -> AsyncIterator[int]:
    """Serve at host:port inside the block; the port.

    `look_up` gives nothing when what it asks is away.

    Raises:
        MetricsAddressError: Nothing can listen there.
    """
    pages, app = _Pages(registry, look_up, ready), web.Application()
    app.router.add_get("/metrics", pages.metrics)
    app.router.add_get("/healthz", pages.healthz)
    app.router.add_get("/readyz", pages.readyz)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise MetricsAddressError(
                f"cannot listen on {address} for metrics: is something else listening there?"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
