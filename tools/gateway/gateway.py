"""The typed tools of ToolService, served by the caller's backend."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from state.models import Owner
from tools.arguments import ArgumentError, fitting
from tools.base import Arguments, Progress, Tool, ToolContext, ToolOutcome
from tools.gateway.calling import BackendCalls, CallOptions, Request
from tools.gateway.channel import ChannelOptions
from tools.gateway.codec import RowCodec
from tools.gateway.failures import OFF, CallFailedError, outcome
from tools.gateway.schema import tool_of
from tools.results import failed
from tools.table.row import Row
from tools.table.typed import TABLE


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Whether and how the backend's tools are used. `enabled` false: none is, and nothing is connected to.

    `max_seconds` and `max_result_bytes` are above those of every tool.
    """

    enabled: bool = False
    channel: ChannelOptions = field(default_factory=ChannelOptions)
    calls: CallOptions = field(default_factory=CallOptions)
    max_seconds: float = 120.0
    max_result_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Served:
    row: Row
    tool: Tool
    codec: RowCodec


class ToolGateway:
    """A source of the tools in the table; for calls inside its context.

    A tool whose method the backend does not implement is off for a while: not offered, and told so if called.
    """

    def __init__(self, options: GatewayOptions) -> None:
        self.enabled = options.enabled
        self.calls = BackendCalls(options.channel, options.calls)
        self._served = {row.name: _served(row, options) for row in TABLE}

    async def __aenter__(self) -> Self:
        if self.enabled:
            await self.calls.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.calls.__aexit__(kind, error, trace)

    def tool(self, name: str) -> Tool:
        """A tool of the table, whether or not it is on.

        Raises:
            KeyError: There is none of this name.
        """
        return self._served[name].tool

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        return [one.tool for one in self._served.values() if self._is_on(one)]

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        served = self._served.get(tool.name)
        if served is None or not self._is_on(served):
            return outcome(tool, CallFailedError(OFF))
        try:
            fitting(served.tool, arguments)
            body = served.codec.request(arguments, context)
        except ArgumentError as error:
            return failed("INVALID_ARGUMENTS", str(error))
        request = Request.of(served.row.rpc, body, served.tool, context)
        try:
            response = await self.calls.unary(request, served.codec.response)
        except CallFailedError as error:
            return outcome(served.tool, error, untrusted=served.row.gives_untrusted)
        return served.codec.outcome(served.tool, response)

    def _is_on(self, served: _Served) -> bool:
        return self.enabled and not self.calls.is_off(served.row.rpc)


def _served(row: Row, options: GatewayOptions) -> _Served:
    tool = tool_of(row, max_seconds=options.max_seconds, max_result_bytes=options.max_result_bytes)
    return _Served(row, tool, RowCodec(row))
