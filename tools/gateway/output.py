"""What the model reads of the output of a described tool."""

from typing import Any

import orjson

from protos import tool_service_pb2 as pb
from tools.base import ToolOutcome
from tools.gateway.failures import GARBLED, CallFailedError, outcome
from tools.gateway.specs import Specified, plain
from tools.results import answered, capped, failed
from tools.schemas import Schema, SchemaUnusableError, UnfitError, fit

_LEFT_OUT = "\n[the tool has left something out]"


def outcome_of_output(specified: Specified, output: pb.ToolOutput) -> ToolOutcome:
    """The text for the model, or the data where there is no text. Data has to fit the output_schema."""
    tool = specified.tool
    untrusted = specified.untrusted or output.untrusted
    try:
        data = _data(output, specified.output_schema)
    except (UnfitError, SchemaUnusableError, ValueError):
        return outcome(tool, CallFailedError(GARBLED))
    text = output.text or (orjson.dumps(data).decode() if data is not None else "Done.")
    if output.is_error:
        told, _ = capped(text, tool.max_result_bytes)
        return failed("TOOL_REFUSED", told, untrusted=untrusted)
    summary = "done" if data is None else f"{len(data)} fields"
    text += _LEFT_OUT if output.truncated else ""
    return answered(tool, text, summary=summary, untrusted=untrusted, truncated=output.truncated)


def _data(output: pb.ToolOutput, schema: Schema | None) -> dict[str, Any] | None:
    if not output.HasField("data"):
        return None
    data = plain(output.data)
    if schema is not None and not output.is_error:
        fit(schema, data)
    return data
