"""A connection to one MCP server, which one task owns from beginning to end.

The library's contexts have to be left by the task that entered them, so a task of our own enters, waits for
the end, and leaves; calls are made by whoever calls.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tools.mcp.file import McpServer

_MOST_SSE_BYTES = 16 << 20


class McpConnection:
    """`ready` is done when the server has answered the first time, or with why it did not."""

    def __init__(self, name: str, server: McpServer, environment: Mapping[str, str], seconds: float) -> None:
        self._server = server
        self._environment = environment
        self._seconds = seconds
        self._end = asyncio.Event()
        self.ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._held(), name=f"mcp-{name}")
        self._task.add_done_callback(self._ended)

    @property
    def lost(self) -> bool:
        """Whether it has ended, by itself or by `close`."""
        return self._task.done() or self._end.is_set()

    @property
    def ended(self) -> bool:
        return self._task.done()

    def drop(self) -> None:
        """Let it end, without waiting for that."""
        self._end.set()

    async def close(self) -> None:
        """End it, and with it the server's process if it is ours."""
        self._end.set()
        if not self.ready.done():
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _held(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._seconds):
                client = await stack.enter_async_context(_client(self._server, self._environment))
            self.ready.set_result(client)
            await self._end.wait()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if not self.ready.done():
            with suppress(asyncio.InvalidStateError):
                self.ready.set_exception(error or ConnectionError("ended before it was ready"))
                self.ready.exception()  # asked for, so that nobody complains when nobody waits


@asynccontextmanager
async def _client(server: McpServer, environment: Mapping[str, str]) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        if server.command:
            # What it has to say goes nowhere: our own errors are one JSON object a line.
            silence = stack.enter_context(open(os.devnull, "w"))  # noqa: ASYNC230, SIM115 - no real file
            passed = {name: environment[name] for name in server.env}
            parameters = StdioServerParameters(
                command=server.command[0], args=list(server.command[1:]), env=passed, cwd=server.cwd
            )
            transport = stdio_client(parameters, silence)
        else:
            token = environment.get(server.token_env, "")
            headers = {"Authorization": f"Bearer {token}"} if token else None
            http = await stack.enter_async_context(create_mcp_http_client(headers))
            transport = streamable_http_client(
                server.url, http_client=http, max_sse_event_size=_MOST_SSE_BYTES
            )
        yield await stack.enter_async_context(Client(transport, cache=None))
