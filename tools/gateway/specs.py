"""Tools as a backend describes them. What it says is a hint: it makes policy stricter, never laxer.

So a described tool is always one that reaches the open world: even one that is said to read only is asked
about until the agent's file, the operator or a person allows it.
"""

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from protos import tool_service_pb2 as pb
from tools.base import Tool
from tools.schemas import Schema, SchemaUnusableError, usable

logger = logging.getLogger(__name__)

UNDESCRIBED_CLASS = "external_api"
MOST_TOOLS = 128
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_LONGEST_DESCRIPTION = 4096
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Specified:
    """A tool, and what is known of its output. `untrusted`: every output holds text of third parties."""

    tool: Tool
    untrusted: bool
    output_schema: Schema | None


@dataclass(frozen=True, slots=True)
class SpecLimits:
    """Defaults of what a spec leaves open, which are caps as well."""

    seconds: float = 30.0
    max_result_bytes: int = 64 * 1024


def described_tools(
    specs: Sequence[pb.ToolSpec], taken: Collection[str], limits: SpecLimits
) -> dict[str, Specified]:
    """Those that can be used, by name; `taken` are names of other tools."""
    found: dict[str, Specified] = {}
    for spec in specs[:MOST_TOOLS]:
        try:
            found[spec.name] = _described(spec, {*taken, *found}, limits)
        except SchemaUnusableError as error:
            name = spec.name if _NAME.fullmatch(spec.name) else ""
            logger.warning("a described tool is off", extra={"tool": name, "because": str(error)})
    return found


def _described(spec: pb.ToolSpec, taken: Collection[str], limits: SpecLimits) -> Specified:
    if spec.name in taken:
        raise SchemaUnusableError("has a name that is taken")
    if not _NAME.fullmatch(spec.name):
        raise SchemaUnusableError("has a name that models cannot use")
    tool = Tool(
        name=spec.name,
        description=spec.description[:_LONGEST_DESCRIPTION],
        parameters=usable(_schema(spec.input_schema)),
        operation_type=spec.operation_type if _CLASS.fullmatch(spec.operation_type) else UNDESCRIBED_CLASS,
        read_only=spec.read_only and not (spec.destructive or spec.spends),
        idempotent=spec.idempotent,
        destructive=spec.destructive,
        open_world=True,
        spends=spec.spends,
        asks=spec.requires_permission,
        timeout_seconds=_seconds(spec, limits),
        max_result_bytes=_bytes(spec, limits),
    )
    output = usable(_schema(spec.output_schema)) if spec.HasField("output_schema") else None
    return Specified(tool, spec.open_world, output)


def _seconds(spec: pb.ToolSpec, limits: SpecLimits) -> float:
    wanted = spec.timeout.seconds + spec.timeout.nanos / 1e9
    return min(wanted, limits.seconds) if wanted > 0 else limits.seconds


def _bytes(spec: pb.ToolSpec, limits: SpecLimits) -> int:
    wanted = spec.max_result_bytes
    return min(wanted, limits.max_result_bytes) if wanted > 0 else limits.max_result_bytes


def _schema(struct: Struct) -> dict[str, Any]:
    try:
        return plain(struct)
    except ValueError as error:
        raise SchemaUnusableError("is no JSON") from error


def plain(struct: Struct) -> dict[str, Any]:
    """A Struct as JSON. In it every number is a float; whole ones are whole again here.

    Raises:
        ValueError: It holds NaN or infinity.
    """
    return {name: _whole(value) for name, value in MessageToDict(struct).items()}


def _whole(value: object) -> object:
    # Beyond that a float is not exact, and an integer is none that every writer of JSON takes.
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value
