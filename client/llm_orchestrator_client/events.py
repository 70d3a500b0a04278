"""Typed events of a run, made from the chunks that a server sends.

Nothing of a chunk is lost: what every chunk carries is in the event's own fields, and `Event.chunk` is the
message itself. A payload of a newer server becomes an `Unknown`, whose sequence counts like any other's.
"""

from collections.abc import Callable
from typing import Any

from llm_orchestrator_client.payloads import (
    AgentUpdate,
    Artifact,
    Completion,
    ContentDelta,
    ConversationTitle,
    EditorOperations,
    Event,
    Failure,
    Heartbeat,
    Notification,
    PermissionRequested,
    PermissionResolved,
    PlanUpdate,
    StatusUpdate,
    StreamReset,
    ToolCall,
    ToolResult,
    Unknown,
)
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import (
    Channel,
    Citation,
    FinishReason,
    PermissionState,
    ResetReason,
    TaskState,
    error_of,
    moment,
    permission_of,
    plain,
    span,
    usage_of,
)

__all__ = [
    "AgentUpdate",
    "Artifact",
    "Completion",
    "ContentDelta",
    "ConversationTitle",
    "EditorOperations",
    "Event",
    "Failure",
    "Heartbeat",
    "Notification",
    "PermissionRequested",
    "PermissionResolved",
    "PlanUpdate",
    "StatusUpdate",
    "StreamReset",
    "ToolCall",
    "ToolResult",
    "Unknown",
    "event_of",
]


def event_of(chunk: pb.ChatChunk) -> Event:
    """The event that a chunk tells. Total: any chunk of any server has one."""
    kind = chunk.WhichOneof("payload")
    if kind is None:
        return Unknown(chunk.type, chunk.message, **_carried(chunk))
    return READERS[kind](getattr(chunk, kind), _carried(chunk))


def _carried(chunk: pb.ChatChunk) -> dict[str, Any]:
    return {
        "sequence": chunk.sequence,
        "time": moment(chunk, "time"),
        "run_id": chunk.run_id,
        "agent_name": chunk.agent_name,
        "metadata": dict(chunk.metadata),
        "tools_used": tuple(chunk.tools_used),
        "usage": usage_of(chunk.usage) if chunk.HasField("usage") else None,
        "chunk": chunk,
    }


def _content(delta: pb.ContentDelta, carried: dict[str, Any]) -> Event:
    citations = tuple(Citation(c.id, c.uri, c.title, c.document_id) for c in delta.citations)
    return ContentDelta(
        delta.text, delta.message_index, Channel(delta.channel), delta.offset, citations, **carried
    )


def _status(status: pb.StatusUpdate, carried: dict[str, Any]) -> Event:
    progress = status.progress if status.HasField("progress") else None
    wait = span(status, "estimated_wait")
    return StatusUpdate(
        TaskState(status.state), status.text, status.node, progress, status.queue_position, wait, **carried
    )


def _tool_call(call: pb.ToolCall, carried: dict[str, Any]) -> Event:
    return ToolCall(call.tool_call_id, call.tool_name, plain(call.arguments), call.read_only, **carried)


def _tool_result(result: pb.ToolResult, carried: dict[str, Any]) -> Event:
    error = error_of(result.error) if result.HasField("error") else None
    elapsed = span(result, "elapsed")
    return ToolResult(
        result.tool_call_id, result.tool_name, result.ok, result.summary, elapsed, error, **carried
    )


def _completion(done: pb.Completion, carried: dict[str, Any]) -> Event:
    reason = FinishReason(done.finish_reason)
    return Completion(reason, done.final_text, done.checkpoint_id, done.task_id, **carried)


def _operations(edits: pb.EditorOperations, carried: dict[str, Any]) -> Event:
    return EditorOperations(edits.document_id, edits.filename, tuple(plain(edits.operations)), **carried)


def _reset(reset: pb.StreamReset, carried: dict[str, Any]) -> Event:
    return StreamReset(reset.from_sequence, ResetReason(reset.reason), reset.attempt, **carried)


def _agent(update: pb.AgentUpdate, carried: dict[str, Any]) -> Event:
    return AgentUpdate(
        update.agent_name, update.agent_version, update.variant, update.routing_reason, **carried
    )


def _artifact(made: pb.Artifact, carried: dict[str, Any]) -> Event:
    return Artifact(made.artifact_id, made.mime_type, made.title, made.uri, made.data, **carried)


def _resolved(resolved: pb.PermissionResolved, carried: dict[str, Any]) -> Event:
    state = PermissionState(resolved.state)
    return PermissionResolved(resolved.permission_id, state, resolved.decided_by, **carried)


READERS: dict[str, Callable[[Any, dict[str, Any]], Event]] = {
    "content": _content,
    "status": _status,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "permission_requested": lambda p, carried: PermissionRequested(permission_of(p.permission), **carried),
    "permission_resolved": _resolved,
    "complete": _completion,
    "error": lambda p, carried: Failure(error_of(p), **carried),
    "notification": lambda p, carried: Notification(p.title, p.body, p.level, **carried),
    "heartbeat": lambda p, carried: Heartbeat(**carried),
    "editor_operations": _operations,
    "title": lambda p, carried: ConversationTitle(p.title, **carried),
    "reset": _reset,
    "plan": lambda p, carried: PlanUpdate(plain(p.plan), **carried),
    "agent_update": _agent,
    "artifact": _artifact,
}
