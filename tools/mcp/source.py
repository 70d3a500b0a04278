"""MCP servers as a source of tools."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import Self

from providers.window import Clock
from state.models import Owner
from tools.arguments import ArgumentError, fitting
from tools.base import Arguments, Progress, Tool, ToolContext, ToolOutcome
from tools.mcp.file import McpLimits, McpServer
from tools.mcp.server import ServedBy, ServerGoneError, Told
from tools.results import failed

logger = logging.getLogger(__name__)

_LONGEST_PROGRESS = 500
_PATIENCE_SECONDS = 5.0
"""How long the first offer waits for a server that is starting; else its tools come with a later one."""


class McpServers:
    """A source of the tools of the servers in a file, the same for every user.

    A server is started, or connected to, when tools are first asked for, and ended with the context. One that
    cannot be reached, or is lost, has its tools off for `off_seconds`.
    """

    def __init__(
        self,
        servers: Mapping[str, McpServer],
        environment: Mapping[str, str],
        limits: McpLimits,
        *,
        connect_seconds: float = 30.0,
        off_seconds: float = 60.0,
        list_seconds: float = 300.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._served = {
            name: ServedBy(
                name,
                server,
                environment,
                limits,
                connect_seconds=connect_seconds,
                off_seconds=off_seconds,
                list_seconds=list_seconds,
                clock=clock,
            )
            for name, server in servers.items()
        }

    async def __aenter__(self) -> Self:
        if self._served:
            # The library takes most of a second to import: now, not in the first run that wants a tool; and
            # not at all where there is no MCP server.
            import_module("tools.mcp.connection")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(served.close() for served in self._served.values()))

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        lists = await asyncio.gather(*(served.tools(_PATIENCE_SECONDS) for served in self._served.values()))
        return [one.tool for tools in lists for one in tools.values()]

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        served = self._served.get(tool.name.partition("__")[0])
        known = {} if served is None else await served.tools(_PATIENCE_SECONDS)
        specified = known.get(tool.name)
        if served is None or specified is None:
            return failed("TOOL_OFF", "This tool is off. Go on without it.")
        try:
            fitting(specified.tool, arguments)
        except ArgumentError as error:
            return failed("INVALID_ARGUMENTS", str(error))
        left = specified.tool.timeout_seconds
        if context.deadline is not None:
            left = min(left, context.deadline - asyncio.get_running_loop().time())
        if left <= 0:
            return failed("DEADLINE_EXCEEDED", "There is no time left for this call.")
        try:
            async with asyncio.timeout(left):
                return await served.call(specified, arguments, _telling(progress))
        except TimeoutError:
            return failed("TOOL_TIMEOUT", f"The tool did not answer in time.{_unsure(specified.tool)}")
        except ServerGoneError:
            return failed("TOOL_UNAVAILABLE", f"The tool cannot be reached now.{_unsure(specified.tool)}")


def _unsure(tool: Tool) -> str:
    return "" if tool.read_only else " It is not known whether it has done what it was called for."


def _telling(told: Progress) -> Told:
    async def tell(progress: float, total: float | None, message: str | None) -> None:
        share = progress / total if total else math.nan
        told((message or "")[:_LONGEST_PROGRESS], min(max(share, 0.0), 1.0) if math.isfinite(share) else None)

    return tell
