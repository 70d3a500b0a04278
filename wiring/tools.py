"""The tools, from the caller's backend, and our own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.load import picked
from config.settings import Settings
from providers.breaker import BreakerSettings
from tools.builtins.source import Builtins
from tools.gateway.calling import CallOptions
from tools.gateway.channel import ChannelOptions
from tools.gateway.described import Described
from tools.gateway.gateway import GatewayOptions, ToolGateway
from tools.gateway.specs import SpecLimits
from tools.registry import ToolRegistry


@asynccontextmanager
async def tools_of(settings: Settings) -> AsyncIterator[ToolRegistry]:
    """The sources of tools, in the order in which their names count."""
    tools = settings.tools
    async with ToolGateway(gateway_options(settings)) as gateway:
        limits = SpecLimits(tools.described_seconds, tools.max_result_bytes)
        builtins = Builtins()
        described = Described(gateway, limits, taken=builtins.names, ttl_seconds=tools.describe_seconds)
        yield ToolRegistry({"builtin": builtins, "backend": gateway, "described": described})


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
