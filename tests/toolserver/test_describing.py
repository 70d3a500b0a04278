"""What cannot be described: that which the service would leave out, by its own reading."""

from typing import Any

import pytest

from llm_orchestrator_client.tool_service import Call, DescribedTools, Hints, ToolDescriptionError
from llm_orchestrator_client.tool_service.rpcs import TOOL_NAMES
from protos import tool_service_pb2 as pb
from tools.gateway.specs import SpecLimits, described_tools

BAD: list[tuple[str, Any, Hints]] = [
    *((name, {"type": "object"}, Hints()) for name in ("", "a b", "1st", "x" * 65, "na\u00efve", "a.b")),
    *((name, {"type": "object"}, Hints()) for name in sorted(TOOL_NAMES)),
    ("bad", {"type": "string"}, Hints()),
    ("bad", {"type": "object", "properties": {"a": {"$ref": "https://example.org"}}}, Hints()),
    ("bad", {"type": "object", "description": "x" * 40_000}, Hints()),
    ("bad", {"type": "object", "patternProperties": {"a": {}}}, Hints()),
    ("bad", {"type": "object"}, Hints(output_schema={"type": "array"})),
]


@pytest.mark.parametrize(("name", "schema", "hints"), BAD)
def test_a_tool_that_the_service_would_leave_out_cannot_be_described(
    name: str, schema: dict[str, Any], hints: Hints
) -> None:
    spec = pb.ToolSpec(name=name, description="Does.")
    spec.input_schema.update(schema)
    if hints.output_schema is not None:
        spec.output_schema.update(dict(hints.output_schema))
    assert described_tools([spec], TOOL_NAMES, SpecLimits()) == {}
    tools = DescribedTools()

    async def does(call: Call, arguments: dict[str, Any]) -> str:
        return "done"

    does.__name__ = name
    with pytest.raises(ToolDescriptionError):
        tools.tool("Does.", schema, hints)(does)
    assert len(tools) == 0
