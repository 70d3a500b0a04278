"""A real ToolServiceServer with the web's parts, and calls to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import grpc

from backend.store.database import Database
from backend.tools.all import composed, described
from backend.tools.crawl.addresses import Allowed
from backend.tools.crawl.storing import PageStore
from backend.tools.web import FetchingOptions, WebOptions, web_parts
from llm_orchestrator_client.tool_service import BearerTokens, ToolServiceServer
from tests.fakes.web.names import FakeNames
from tests.toolserver.backend import ANYWHERE, TOKEN, request_of
from tests.toolserver.calling import Refused, ask, invocation, refused

PUBLIC = "127.0.0.2"


class Tools:
    """Calls of users."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def ask(self, rpc: str, user: str = "ann", *metadata: tuple[str, str], **fields: Any) -> Any:
        """The response."""
        return await ask(self._channel, rpc, _request(rpc, user, fields), *metadata, seconds=60.0)

    async def refused(self, rpc: str, user: str = "ann", **fields: Any) -> Refused:
        """How it ends, which must not be well."""
        return await refused(self._channel, rpc, _request(rpc, user, fields), seconds=60.0)

    async def invoke(self, name: str, user: str = "ann", **arguments: Any) -> Any:
        """The output of a described tool."""
        events = await ask(self._channel, "InvokeTool", invocation(name, user, **arguments), seconds=60.0)
        return events[-1].output

    async def refused_invoke(self, name: str, user: str = "ann", **arguments: Any) -> Refused:
        """How it ends, which must not be well."""
        return await refused(self._channel, "InvokeTool", invocation(name, user, **arguments), seconds=60.0)


def _request(rpc: str, user: str, fields: dict[str, Any]) -> Any:
    lists = {name: value for name, value in fields.items() if isinstance(value, list)}
    plain = {name: value for name, value in fields.items() if name not in lists}
    request = request_of(rpc, user, **plain)
    for name in ("feed_id",):
        if name not in fields and hasattr(request, name):
            request.ClearField(name)
    for name, values in lists.items():
        getattr(request, name).extend(values)
    return request


@asynccontextmanager
async def serving(
    options: WebOptions,
    database: Database,
    names: FakeNames,
    *,
    port: int = 80,
    pages: PageStore | None = None,
) -> AsyncIterator[Tools]:
    """The parts behind a real server; the public address may be fetched from at `port`."""
    if options.fetching is not None:
        allowed = [Allowed(ip_network(PUBLIC))]
        options = replace(options, fetching=replace(options.fetching, ports=(80, 443, port), allowed=allowed))
    async with web_parts(options, database, pages=pages, names=names) as parts:
        server = ToolServiceServer(
            composed(parts), ANYWHERE, authenticator=BearerTokens.of(TOKEN), described=described(parts)
        )
        async with server, grpc.aio.insecure_channel(server.address) as channel:
            yield Tools(channel)


__all__ = ["PUBLIC", "FetchingOptions", "Tools", "serving"]
