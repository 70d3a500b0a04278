"""What a backend says of a tool of its own, checked as the orchestrator will check it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.described.arguments import Schema
from llm_orchestrator_client.tool_service.rpcs import TOOL_NAMES

MOST_TOOLS = 128
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MOST_SCHEMA_BYTES = 32 * 1024
_MOST_SCHEMA_DEPTH = 24
_NOT_USED = frozenset({"$dynamicRef", "$recursiveRef", "patternProperties", "$vocabulary"})


class ToolDescriptionError(ValueError):
    """A tool that the orchestrator would leave out; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a tool does. The orchestrator takes it as reason to be stricter, never laxer.

    `read_only`: it changes nothing; any other has its effect once for each call id. `idempotent`: the same
    arguments again change nothing more, so it may be called again. `destructive`: it deletes or overwrites.
    `open_world`: it reaches beyond the backend, and its output is untrusted. `requires_permission`: a person
    is asked before every call. `spends`: it costs money. `operation_type`: its permission class, empty =
    external_api. For `timeout_seconds` and `max_result_bytes` 0 = the orchestrator's, which caps both.
    `offered_to` tells whether a user has this tool; None = every user has.
    """

    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    open_world: bool = False
    requires_permission: bool = False
    spends: bool = False
    operation_type: str = ""
    timeout_seconds: float = 0.0
    max_result_bytes: int = 0
    output_schema: Schema | None = None
    offered_to: Callable[[str], bool] | None = None


def spec_of(name: str, description: str, schema: Schema, hints: Hints) -> pb.ToolSpec:
    """The tool as DescribeTools tells it.

    Raises:
        ToolDescriptionError: The orchestrator would leave it out.
    """
    if not _NAME.fullmatch(name):
        raise ToolDescriptionError(f"{name!r} is no name that models can use")
    if name in TOOL_NAMES:
        raise ToolDescriptionError(f"{name} is a typed tool")
    if not description.strip():
        raise ToolDescriptionError(f"{name} has no description: no model would know when to use it")
    if hints.operation_type and not _CLASS.fullmatch(hints.operation_type):
        raise ToolDescriptionError(f"{name}: {hints.operation_type!r} is no permission class")
    spec = pb.ToolSpec(
        name=name,
        description=description,
        read_only=hints.read_only,
        idempotent=hints.idempotent,
        destructive=hints.destructive,
        open_world=hints.open_world,
        requires_permission=hints.requires_permission,
        spends=hints.spends,
        operation_type=hints.operation_type,
        max_result_bytes=hints.max_result_bytes,
    )
    ParseDict(_usable(name, schema), spec.input_schema)
    if hints.output_schema is not None:
        ParseDict(_usable(name, hints.output_schema), spec.output_schema)
    if hints.timeout_seconds > 0:
        spec.timeout.CopyFrom(duration(hints.timeout_seconds))
    return spec


def duration(seconds: float) -> Duration:
    found = Duration()
    found.FromNanoseconds(int(seconds * 1e9))
    return found


def _usable(name: str, schema: Schema) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise ToolDescriptionError(f"{name}: a schema is not that of an object")
    if len(json.dumps(schema)) > _MOST_SCHEMA_BYTES:
        raise ToolDescriptionError(f"{name}: a schema is larger than {_MOST_SCHEMA_BYTES} bytes")
    _check(name, schema, _MOST_SCHEMA_DEPTH)
    return {**schema, "type": "object"}


def _check(name: str, part: object, depth: int) -> None:
    if not isinstance(part, Mapping | list):
        return
    if depth <= 0:
        raise ToolDescriptionError(f"{name}: a schema is nested deeper than {_MOST_SCHEMA_DEPTH}")
    if isinstance(part, Mapping):
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ToolDescriptionError(f"{name}: a schema refers elsewhere")
        if used := _NOT_USED & part.keys():
            raise ToolDescriptionError(f"{name}: a schema uses {', '.join(sorted(used))}")
    for one in part.values() if isinstance(part, Mapping) else part:
        _check(name, one, depth - 1)
