"""The string fields of a ChatChunk, for callers who know no payloads. The contract says what each holds."""

from collections.abc import Callable
from datetime import UTC, datetime

from google.protobuf import json_format
from google.protobuf.message import Message

from protos import orchestrator_pb2 as pb

_Text = Callable[[pb.ChatChunk], str]


def _json(message: Message) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _timestamp(chunk: pb.ChatChunk) -> str:
    time = chunk.time
    microseconds, rest = divmod(time.nanos, 1000)
    if rest or microseconds % 1000 == 0:
        return time.ToJsonString()
    # The same text in a fifth of the time, for nearly every chunk.
    second = datetime.fromtimestamp(time.seconds, UTC).isoformat()[: len("2026-11-22T01:32:19")]
    return f"{second}.{microseconds:06}Z"


def _permission_resolved(chunk: pb.ChatChunk) -> str:
    state = pb.PermissionState.Name(chunk.permission_resolved.state)
    return f"Permission {state.removeprefix('PERMISSION_STATE_').lower()}"


def _reset(chunk: pb.ChatChunk) -> str:
    if chunk.reset.reason == pb.RESET_REASON_PRUNED:
        return "What was shown is no longer kept: what follows stands for all of it"
    return f"Discard what was shown: attempt {chunk.reset.attempt}"


STRINGS: dict[str, tuple[str, _Text]] = {
    "content": ("content", lambda c: c.content.text),
    "status": ("status", lambda c: c.status.text),
    "tool_call": ("tool_call", lambda c: c.tool_call.tool_name),
    "tool_result": ("tool_call", lambda c: c.tool_result.tool_name),
    "agent_update": ("agent_update", lambda c: c.agent_update.agent_name),
    "permission_requested": ("permission_request", lambda c: _json(c.permission_requested.permission)),
    "complete": ("complete", lambda c: c.complete.final_text),
    "error": ("error", lambda c: c.error.message),
    "notification": ("notification", lambda c: c.notification.body),
    "heartbeat": ("status", lambda _: ""),
    "editor_operations": ("editor_operations", lambda c: _json(c.editor_operations)),
    "title": ("title", lambda c: c.title.title),
    "permission_resolved": ("status", _permission_resolved),
    "reset": ("status", _reset),
    "plan": ("status", lambda _: "The plan has changed"),
    "artifact": ("status", lambda c: c.artifact.title),
}
"""Type and message for each payload."""


def fill_strings(chunk: pb.ChatChunk) -> None:
    """Set `type`, `message` and `timestamp` from the payload, and the metadata of tool calls."""
    payload = chunk.WhichOneof("payload")
    if payload is None:
        return
    chunk.type, text = STRINGS[payload]
    chunk.message = text(chunk)
    chunk.timestamp = _timestamp(chunk)
    if payload == "tool_call":
        chunk.metadata["arguments"] = _json(chunk.tool_call.arguments)
    elif payload == "tool_result":
        chunk.metadata["summary"] = chunk.tool_result.summary
