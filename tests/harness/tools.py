"""What tests of tools call with: a context, options, arguments that fit, and what came of progress."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from config.load import picked
from config.settings import Settings
from providers.breaker import BreakerSettings
from state.models import ConversationId, Owner, RunId
from tools.base import Tool, ToolContext, ToolOutcome
from tools.gateway.calling import CallOptions
from tools.gateway.channel import ChannelOptions
from tools.gateway.gateway import GatewayOptions, ToolGateway

ANN = Owner("ann")
NEVER_OPENS = BreakerSettings(consecutive_failures=1_000_000, window_calls=1_000_000)


class Told:
    """A `Progress` that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float | None]] = []
        self.changed = asyncio.Event()

    def __call__(self, text: str, share: float | None) -> None:
        self.lines.append((text, share))
        self.changed.set()


def context(owner: Owner = ANN, *, seconds: float | None = None, **fields: Any) -> ToolContext:
    """A call of user `ann`, of a new run and a new call; `seconds`: what the run has left."""
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    values: dict[str, Any] = {
        "run_id": RunId(uuid4().hex),
        "conversation_id": ConversationId("c7"),
        "tool_call_id": uuid4().hex,
        **fields,
    }
    return ToolContext(owner=owner, deadline=deadline, **values)


def options(address: str, *, enabled: bool = True, **fields: Any) -> GatewayOptions:
    """Options whose breakers never open, unless said; `fields` are those of any of its parts."""
    fields = {"breaker": NEVER_OPENS, "retry_seconds": 0.01, **fields}
    calls = {name: value for name, value in fields.items() if name in CallOptions.__dataclass_fields__}
    channel = {name: value for name, value in fields.items() if name in ChannelOptions.__dataclass_fields__}
    own = {name: value for name, value in fields.items() if name not in {**calls, **channel}}
    return GatewayOptions(
        enabled, channel=ChannelOptions(address, **channel), calls=CallOptions(**calls), **own
    )


def options_of(settings: Settings) -> GatewayOptions:
    """What the settings say of the gateway."""
    tools = settings.tools
    token = tools.token.get_secret_value() if tools.token else ""
    breaker = BreakerSettings(
        consecutive_failures=tools.breaker_failures, reset_seconds=tools.breaker_seconds
    )
    return picked(
        GatewayOptions,
        tools,
        enabled=settings.use_grpc_tool_service,
        channel=picked(ChannelOptions, tools, token=token),
        calls=picked(CallOptions, tools, breaker=breaker),
    )


async def call(
    gateway: ToolGateway, name: str, arguments: Mapping[str, Any] | None = None, **fields: Any
) -> ToolOutcome:
    """Call a tool by name, also one that is off; arguments that fit unless said."""
    tool = gateway.tool(name)
    arguments = fitting_arguments(tool) if arguments is None else arguments
    return await gateway.call(tool, arguments, context(**fields), Told())


def fitting_arguments(tool: Tool, *, all_of_them: bool = False) -> dict[str, Any]:
    """Arguments that a tool's schema allows: those that it needs, or all."""
    properties = tool.parameters.get("properties", {})
    wanted = properties if all_of_them else tool.parameters.get("required", [])
    return {
        name: "https://example.org/feed" if name in tool.urls else _fitting(properties[name])
        for name in wanted
    }


def _fitting(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "boolean":
            return True
        case "integer":
            return min(3, schema["maximum"])
        case "array":
            return [_fitting(schema["items"])]
        case "object":
            return {"key": "value"}
        case _:
            return "words"
