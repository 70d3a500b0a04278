"""The tools, from the caller's backend, and our own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from config.load import environment, picked
from config.settings import Settings
from providers.breaker import BreakerSettings
from tools.builtins.source import Builtins
from tools.gateway.calling import CallOptions
from tools.gateway.channel import ChannelOptions
from tools.gateway.described import Described
from tools.gateway.gateway import GatewayOptions, ToolGateway
from tools.gateway.specs import SpecLimits
from tools.mcp.file import McpLimits, McpServer, read_servers
from tools.mcp.source import McpServers
from tools.registry import ToolRegistry


@asynccontextmanager
async def tools_of(settings: Settings) -> AsyncIterator[ToolRegistry]:
    """The sources of tools, in the order in which their names count."""
    tools = settings.tools
    builtins, limits = Builtins(), SpecLimits(tools.described_seconds, tools.max_result_bytes)
    async with (
        ToolGateway(gateway_options(settings)) as gateway,
        McpServers(
            *servers_of(settings), McpLimits(tools.described_seconds, tools.max_result_bytes)
        ) as servers,
    ):
        described = Described(gateway, limits, taken=builtins.names, ttl_seconds=tools.describe_seconds)
        yield ToolRegistry({"builtin": builtins, "backend": gateway, "described": described, "mcp": servers})


def servers_of(settings: Settings) -> tuple[Mapping[str, McpServer], Mapping[str, str]]:
    """The MCP servers of the file, and the environment that their keys come from; none while tools are off.

    Raises:
        McpFileError: The file is not what it should be.
    """
    known, file = environment(settings), settings.tools.mcp_file
    if file is None or not settings.use_grpc_tool_service:
        return {}, {}
    return read_servers(file, known), known


def gateway_options(settings: Settings) -> GatewayOptions:
    """What the settings say of the backend that serves tools, and of calls to it."""
    tools = settings.tools
    breaker = BreakerSettings(
        consecutive_failures=tools.breaker_failures, reset_seconds=tools.breaker_seconds
    )
    token = tools.token.get_secret_value() if tools.token else ""
    return picked(
        GatewayOptions,
        tools,
        enabled=settings.use_grpc_tool_service,
        channel=picked(ChannelOptions, tools, token=token),
        calls=picked(CallOptions, tools, breaker=breaker),
    )
