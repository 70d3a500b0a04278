"""What tests of described tools script."""

from collections.abc import Callable, Coroutine
from typing import Any

from state.models import Owner
from tests.fakes.tool_service.script import Script
from tests.harness.tools import ANN
from tools.base import Tool, ToolOutcome
from tools.gateway.described import Described
from tools.gateway.specs import SpecLimits

Count = Callable[..., Coroutine[Any, Any, ToolOutcome]]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DATA_SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
LIMITS = SpecLimits(seconds=5.0, max_result_bytes=2000)
BOB = Owner("bob")


def spec(name: str = "count", **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "Counts.", "input_schema": SCHEMA, **fields}


def described(*specs: dict[str, Any], **fields: Any) -> Script:
    return Script({"tools": list(specs), "revision": "r1", **fields})


def output(**fields: Any) -> dict[str, Any]:
    return {"output": fields}


async def only(source: Described) -> Tool:
    (tool,) = await source.offered(ANN)
    return tool
