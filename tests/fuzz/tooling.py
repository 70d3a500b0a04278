"""JSON of models, of people, and of those who serve tools: arguments, results, schemas, answers in a form."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from jsonschema import Draft202012Validator

from agents.calls import speakable, speakable_arguments
from agents.json_answer import check_answer
from agents.sources import findings
from protos import tool_service_pb2 as pb
from state.errors import ProviderBrokenError
from state.models import ConversationId, Owner, RunId
from tests.fuzz.picking import Picker
from tools.arguments import ArgumentError, canonical, checked, digest, redacted
from tools.base import Tool, ToolContext, ToolOutcome
from tools.gateway.codec import RowCodec
from tools.gateway.failures import CallFailedError
from tools.gateway.output import outcome_of_output
from tools.gateway.schema import tool_of
from tools.gateway.specs import Specified, SpecLimits, described_tools
from tools.schemas import SchemaUnusableError, UnfitError, fit, usable
from tools.table.typed import TABLE

_TOOL = Tool(
    name="fetch",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": 500},
            "many": {"type": "array", "items": {"type": ["integer", "string", "null"]}},
        },
    },
    operation_type="web_search",
    urls=frozenset({"url"}),
    sensitive=frozenset({"many"}),
)
_CONTEXT = ToolContext(Owner("u"), RunId("0" * 32), ConversationId("c"), "call")
_ROWS = tuple((tool_of(row, max_seconds=60, max_result_bytes=4096), RowCodec(row), row) for row in TABLE)
_FORM: Mapping[str, object] = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["a"],
}


def arguments(data: bytes) -> None:
    """What a model writes for a tool: an object that fits, with one canonical form, or a refusal."""
    picker = Picker(data)
    raw = json.dumps(picker.json()) if picker.below(2) else picker.rest().decode(errors="surrogateescape")
    model_sees = speakable_arguments(raw)
    assert isinstance(orjson.loads(model_sees), dict)
    speakable(raw).encode("ascii")
    try:
        found = checked(_TOOL, raw)
        exact = canonical(found)
    except ArgumentError as error:
        assert str(error)  # noqa: PT017 - no test, a target
        return
    assert Draft202012Validator(_TOOL.parameters).is_valid(found)
    assert checked(_TOOL, exact.decode()) == found, "the canonical form says the same"
    assert digest(orjson.loads(exact)) == digest(found)
    shown = redacted(_TOOL, found)
    assert shown.keys() == found.keys()
    assert shown.get("many") in (None, "[hidden]")


def results(data: bytes) -> None:
    """A backend's bytes as the answer of a typed tool: text within the cap, or a failed call."""
    picker = Picker(data)
    tool, codec, _ = picker.one_of(_ROWS)
    try:
        response = codec.response(b"" if picker.left == 0 else _bytes_of(picker, codec))
        outcome = codec.outcome(tool, response)
    except CallFailedError:
        return
    _told(outcome, tool)


def _bytes_of(picker: Picker, codec: RowCodec) -> bytes:
    if picker.below(2):
        return picker.rest()
    message = codec.response(b"")
    picker.fill(message)
    return message.SerializeToString()


def outputs(data: bytes) -> None:
    """What a described tool has put out, its data included, whatever a Struct may hold."""
    picker = Picker(data)
    output = pb.ToolOutput()
    picker.fill(output)
    specified = Specified(_TOOL, False, _FORM if picker.below(2) else None)
    _told(outcome_of_output(specified, output), _TOOL)


def _told(outcome: ToolOutcome, tool: Tool) -> None:
    assert len(outcome.text.encode()) <= tool.max_result_bytes
    assert outcome.ok != bool(outcome.reason)
    outcome.summary.encode()


def sources(data: bytes) -> None:
    """Results as numbered sources: however odd or deep, each is numbered once and its text is text."""
    picker = Picker(data)
    text = json.dumps(picker.json()) if picker.below(2) else picker.rest().decode(errors="ignore")
    found = findings([{"role": "tool", "content": text}])
    assert [source.id for source in found.sources] == [str(n + 1) for n in range(len(found.sources))]
    assert found.shown(1000).encode()


def schemas(data: bytes) -> None:
    """Schemas from outside: refused, or usable for any value, and then as jsonschema itself would have it."""
    picker = Picker(data)
    schema, value = _schema(picker), picker.json()
    try:
        used = usable(schema)
    except SchemaUnusableError as error:
        assert str(error)  # noqa: PT017 - no test, a target
        return
    try:
        fit(used, value)
        fits = True
    except UnfitError:
        fits = False
    except SchemaUnusableError:
        return
    if b'"$' not in orjson.dumps(used) and b'"pattern"' not in orjson.dumps(used):
        assert Draft202012Validator(used).is_valid(value) == fits


_KEYWORDS = (
    *(
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "const",
        "minLength",
        "maximum",
        "multipleOf",
        "$ref",
    ),
    *(
        "anyOf",
        "allOf",
        "not",
        "$defs",
        "additionalProperties",
        "$ref",
        "$id",
        "$anchor",
        "pattern",
        "if",
        "then",
    ),
    *("minItems", "uniqueItems", "contains", "prefixItems", "propertyNames", "dependentSchemas", "format"),
)
_PLAIN = ("object", "string", "array", "#", "#/$defs/a", "#a", "http://x/y", "[", "a", "#/properties/%")


def _schema(picker: Picker, depth: int = 0) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(picker.below(5)):
        found[picker.one_of(_KEYWORDS)] = _keyword(picker, depth)
    return found


def _keyword(picker: Picker, depth: int) -> object:
    inner = picker.below(6 if depth < 4 else 3)
    if inner == 0:
        return picker.one_of(_PLAIN)
    if inner == 1:
        return picker.number()
    if inner == 2:
        return picker.json()
    if inner == 3:
        return [_schema(picker, depth + 1) for _ in range(picker.below(3))]
    if inner == 4:
        return {picker.one_of(("a", "b")): _schema(picker, depth + 1) for _ in range(picker.below(3))}
    return _schema(picker, depth + 1)


def specs(data: bytes) -> None:
    """Tools as a backend describes them: those that are taken can be offered, and have names of their own."""
    picker = Picker(data)
    described = []
    for _ in range(picker.below(4)):
        spec = pb.ToolSpec()
        picker.fill(spec)
        if picker.below(2):
            spec.name = picker.one_of(("a", "b", "taken"))
        _put_schema(spec.input_schema, _schema(picker))
        described.append(spec)
    found = described_tools(described, {"taken"}, SpecLimits())
    assert "taken" not in found
    for name, one in found.items():
        assert one.tool.name == name == speakable(name)
        assert one.tool.open_world
        assert 0 < one.tool.timeout_seconds <= SpecLimits().seconds
        orjson.dumps(one.tool.parameters)


def _put_schema(struct: Struct, schema: Mapping[str, Any]) -> None:
    try:
        struct.update(schema)
    except (ValueError, TypeError):
        struct.Clear()


def answers(data: bytes) -> None:
    """An answer that has to be JSON of a form: taken only if every reader of JSON has it fit."""
    picker = Picker(data)
    text = json.dumps(picker.json()) if picker.below(2) else picker.rest().decode(errors="surrogateescape")
    try:
        check_answer(text, _FORM)
    except ProviderBrokenError:
        return
    assert orjson.loads(text) == json.loads(text)
    assert Draft202012Validator(_FORM).is_valid(json.loads(text))


def requests_of_tools(data: bytes) -> None:
    """Arguments that a tool's schema allows are a request that the backend's stub reads, with whose it is."""
    picker = Picker(data)
    tool, codec, row = picker.one_of(_ROWS)
    given = {name: picker.json() for name in tool.parameters["properties"] if picker.below(2)}
    try:
        found = checked(tool, json.dumps(given))
        body = codec.request(found, _CONTEXT)
    except ArgumentError:
        return
    request: Message = codec._request.FromString(body)
    assert all(getattr(request, name) in ("u", "c") for name in row.filled)
