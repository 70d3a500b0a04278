"""What a run says of its tools, as chunks."""

from datetime import timedelta

import orjson
from google.protobuf import json_format

from agents.events import ToolAnswered, ToolCalled, ToolProgressed
from protos import orchestrator_pb2 as pb

_CODES = {
    "INVALID_ARGUMENT": 3,
    "INVALID_ARGUMENTS": 3,
    "DEADLINE_EXCEEDED": 4,
    "TOOL_TIMEOUT": 4,
    "NOT_FOUND": 5,
    "UNKNOWN_TOOL": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "RESULT_TOO_LARGE": 8,
    "TOOL_BUSY": 8,
    "TOOL_OVERLOADED": 8,
    "FAILED_PRECONDITION": 9,
    "TOOL_REFUSED": 9,
    "TOOL_OFF": 12,
    "TOOL_FAILED": 13,
    "TOOL_GARBLED": 13,
    "TOOL_UNAVAILABLE": 14,
}
"""Reasons as codes of gRPC."""

_UNKNOWN = 2
ToolEvent = ToolCalled | ToolProgressed | ToolAnswered


def fill(chunk: pb.ChatChunk, event: ToolEvent) -> None:
    """Set the chunk's payload."""
    match event:
        case ToolCalled():
            chunk.tool_call.tool_call_id = event.tool_call_id
            chunk.tool_call.tool_name = event.tool_name
            json_format.ParseDict(orjson.loads(event.arguments), chunk.tool_call.arguments)
            chunk.tool_call.read_only = event.read_only
        case ToolProgressed():
            chunk.status.state = pb.TASK_STATE_RUNNING
            chunk.status.text = f"{event.tool_name}: {event.text}"
            if event.progress is not None:
                chunk.status.progress = event.progress
        case ToolAnswered():
            _fill_result(chunk.tool_result, event)


def _fill_result(result: pb.ToolResult, event: ToolAnswered) -> None:
    result.tool_call_id = event.tool_call_id
    result.tool_name = event.tool_name
    result.ok = event.ok
    result.summary = event.summary
    result.elapsed.FromTimedelta(timedelta(seconds=event.elapsed_seconds))
    if not event.ok:
        result.error.code = _CODES.get(event.reason, _UNKNOWN)
        result.error.reason = event.reason
        result.error.message = event.summary
        result.error.retryable = event.retryable
