"""One MCP server: its connection, the tools it lists, and when to leave it alone."""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from providers.window import Clock
from telemetry.logs import describe
from tools.base import Arguments, ToolOutcome
from tools.mcp.file import McpLimits, McpServer

if TYPE_CHECKING:
    from tools.mcp.connection import McpConnection
    from tools.mcp.specs import Specified

logger = logging.getLogger(__name__)


class Told(Protocol):
    """Takes how far a tool is: so much of `total`, and a text."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None: ...


class ServerGoneError(Exception):
    """The server cannot be reached any more."""


class ServedBy:
    """Connects when first asked; after a failure not again for `off_seconds`."""

    def __init__(
        self,
        name: str,
        server: McpServer,
        environment: Mapping[str, str],
        limits: McpLimits,
        *,
        connect_seconds: float,
        off_seconds: float,
        list_seconds: float,
        clock: Clock,
    ) -> None:
        self._name = name
        self._server = server
        self._environment = environment
        self._limits = limits
        self._connect_seconds = connect_seconds
        self._off_seconds = off_seconds
        self._list_seconds = list_seconds
        self._clock = clock
        self._connection: McpConnection | None = None
        self._dropped: list[McpConnection] = []
        self._known: Mapping[str, Specified] = {}
        self._listed_until = 0.0
        self._off_until = 0.0
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """End the connection, and the server's process if it is ours."""
        connections = [*self._dropped, *([self._connection] if self._connection else [])]
        await asyncio.gather(*(connection.close() for connection in connections))

    async def tools(self, patience_seconds: float) -> Mapping[str, "Specified"]:
        """Its tools by our names; none while it is off or has not answered yet."""
        async with self._lock:
            if self._connection is not None and self._connection.lost:
                self._gone()
            if self._clock() < self._off_until:
                return {}
            if self._clock() >= self._listed_until:
                await self._list(patience_seconds)
            return self._known

    async def call(self, specified: "Specified", arguments: Arguments, told: Told) -> ToolOutcome:
        """Call one of its tools.

        Raises:
            ServerGoneError: It was lost before or during the call.
        """
        from tools.mcp.calling import called

        connection = self._connection
        if connection is None or not connection.ready.done():
            raise ServerGoneError
        try:
            return await called(connection.ready.result(), specified, arguments, told)
        except ServerGoneError:
            if connection is self._connection:
                self._gone()
            raise

    async def _list(self, patience_seconds: float) -> None:
        from tools.mcp.calling import listed
        from tools.mcp.connection import McpConnection
        from tools.mcp.specs import specified_tools

        patience = 0.0  # who came first has waited; a slow start is to delay one run, not all
        if self._connection is None:
            patience = patience_seconds
            self._connection = McpConnection(
                self._name, self._server, self._environment, self._connect_seconds
            )
        ready = self._connection.ready
        await asyncio.wait({ready}, timeout=patience)
        if not ready.done():
            return  # still starting
        if (error := ready.exception()) is not None:
            extra = {"server": self._name, "error": describe(error)}
            logger.warning("an MCP server cannot be reached", extra=extra)
            self._gone()
            return
        try:
            async with asyncio.timeout(patience_seconds):
                found = await listed(ready.result())
        except (ServerGoneError, TimeoutError):
            logger.warning("an MCP server lists no tools", extra={"server": self._name})
            self._gone()
            return
        self._known = specified_tools(self._name, self._server, found, self._limits)
        self._listed_until = self._clock() + self._list_seconds

    def _gone(self) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._dropped = [one for one in self._dropped if not one.ended] + [self._connection]
        self._connection = None
        self._known, self._listed_until = {}, 0.0
        self._off_until = self._clock() + self._off_seconds
