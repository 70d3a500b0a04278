"""A ToolService on the backend's own tools and a database of the test's own, asked with raw stubs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from backend.store.database import Database
from backend.tools.all import ServedTools, ToolOptions, opened_tools
from llm_orchestrator_client.tool_service import BearerTokens, ToolServiceServer
from tests.toolserver.backend import ANYWHERE, TOKEN, request_of
from tests.toolserver.calling import Refused, ask, invocation, refused


@dataclass(frozen=True, slots=True)
class Backend:
    """A running one. `database` is a second way to its rows."""

    tools: ServedTools
    database: Database
    channel: grpc.aio.Channel
    address: str

    async def ask(self, rpc: str, user: str = "ann", **fields: Any) -> Any:
        """The response to a typed call of a user."""
        return await ask(self.channel, rpc, _filled(rpc, user, fields))

    async def refused(self, rpc: str, user: str = "ann", **fields: Any) -> Refused:
        """How a typed call ends that must not succeed."""
        return await refused(self.channel, rpc, _filled(rpc, user, fields))

    async def invoke(self, name: str, user: str = "ann", call_id: str = "", **arguments: Any) -> Any:
        """The data of a described tool's output."""
        *_, last = await ask(self.channel, "InvokeTool", invocation(name, user, call_id, **arguments))
        return MessageToDict(last.output.data)

    async def not_invoked(self, name: str, user: str = "ann", call_id: str = "", **arguments: Any) -> Refused:
        """How a call of a described tool ends that must not succeed."""
        return await refused(self.channel, "InvokeTool", invocation(name, user, call_id, **arguments))

    async def add(self, filename: str, content: str, user: str = "ann", tags: tuple[str, ...] = ()) -> str:
        """Store a document; its id."""
        return await self.tools.shelf.add(user, filename, content, tags=tags)

    async def titles(self, query: str, user: str = "ann", **fields: Any) -> list[str]:
        """The titles of what a search finds, best first."""
        found = await self.ask("SearchDocuments", user, query=query, **fields)
        return [hit.title for hit in found.results]

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        async with self.database.connection() as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a test's


@asynccontextmanager
async def running(dsn: str, *, schema: str, **options: Any) -> AsyncIterator[Backend]:
    """Serve inside the block."""
    async with (
        opened_tools(ToolOptions(dsn=dsn, schema=schema, **options)) as tools,
        Database(dsn, schema=schema, pool_size=2) as database,
        ToolServiceServer(
            tools.handlers,
            ANYWHERE,
            authenticator=BearerTokens.of(TOKEN),
            described=tools.described,
            calls=tools.calls,
        ) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Backend(tools, database, channel, server.address)


def _filled(rpc: str, user: str, fields: Mapping[str, Any]) -> Any:
    request = request_of(rpc, user)
    for field in request.DESCRIPTOR.fields:
        if field.name.endswith("_id") and field.name != "user_id":
            request.ClearField(field.name)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(request, name).extend(value)
        else:
            setattr(request, name, value)
    return request
