"""What a run says: one frozen class per payload of a ChatChunk; `events.event_of` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import (
    Channel,
    Citation,
    ErrorDetail,
    FinishReason,
    Permission,
    PermissionState,
    ResetReason,
    TaskState,
    Usage,
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What every event carries.

    `sequence` counts 1,2,3... per run without a gap; 0 = not in the run's log (heartbeat, place in the
    line, pruned reset, early end of a stream). `usage` is cumulative. `chunk` is None for an event that no
    server sent.
    """

    KIND: ClassVar[str] = ""  # the payload's field name in ChatChunk

    sequence: int = 0
    time: datetime | None = None
    run_id: str = ""
    agent_name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tools_used: tuple[str, ...] = ()
    usage: Usage | None = None
    chunk: pb.ChatChunk | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ContentDelta(Event):
    """More text: concatenate per message_index and channel. `offset` counts UTF-8 bytes."""

    KIND: ClassVar[str] = "content"

    text: str
    message_index: int = 0
    channel: Channel = Channel.ANSWER
    offset: int = 0
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True)
class StatusUpdate(Event):
    """What the run is doing. `queue_position` 1 = next, 0 = not waiting; `progress` is in 0..1."""

    KIND: ClassVar[str] = "status"

    state: TaskState
    text: str = ""
    node: str = ""
    progress: float | None = None
    queue_position: int = 0
    estimated_wait: timedelta | None = None


@dataclass(frozen=True)
class ToolCall(Event):
    """A tool is about to be called."""

    KIND: ClassVar[str] = "tool_call"

    tool_call_id: str
    tool_name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    read_only: bool = False


@dataclass(frozen=True)
class ToolResult(Event):
    """A tool has answered; `error` is set unless ok."""

    KIND: ClassVar[str] = "tool_result"

    tool_call_id: str
    tool_name: str
    ok: bool
    summary: str = ""
    elapsed: timedelta | None = None
    error: ErrorDetail | None = None


@dataclass(frozen=True)
class PermissionRequested(Event):
    """The run stops until somebody decides, or the permission expires."""

    KIND: ClassVar[str] = "permission_requested"

    permission: Permission


@dataclass(frozen=True)
class PermissionResolved(Event):
    """A permission was decided, or expired (`decided_by` empty)."""

    KIND: ClassVar[str] = "permission_resolved"

    permission_id: str
    state: PermissionState
    decided_by: str = ""


@dataclass(frozen=True)
class Completion(Event):
    """The end of the run, or with sequence 0 of this stream only; `final_text` is the whole answer."""

    KIND: ClassVar[str] = "complete"

    finish_reason: FinishReason
    final_text: str = ""
    checkpoint_id: str = ""
    task_id: str = ""


@dataclass(frozen=True)
class Failure(Event):
    """The end of a run that failed, was cancelled or expired."""

    KIND: ClassVar[str] = "error"

    error: ErrorDetail


@dataclass(frozen=True)
class Notification(Event):
    """Something to show beside the answer; `level` is "info", "warning" or "error"."""

    KIND: ClassVar[str] = "notification"

    title: str = ""
    body: str = ""
    level: str = "info"


@dataclass(frozen=True)
class Heartbeat(Event):
    """Nothing new."""

    KIND: ClassVar[str] = "heartbeat"


@dataclass(frozen=True)
class EditorOperations(Event):
    """Edits for the open document; apply one only where its pre_hash still matches (ChatChunk says how)."""

    KIND: ClassVar[str] = "editor_operations"

    document_id: str = ""
    filename: str = ""
    operations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class ConversationTitle(Event):
    """A title for a conversation that had none."""

    KIND: ClassVar[str] = "title"

    title: str


@dataclass(frozen=True)
class StreamReset(Event):
    """Text is void: what came with a sequence >= from_sequence (NEW_ATTEMPT) or < from_sequence (PRUNED)."""

    KIND: ClassVar[str] = "reset"

    from_sequence: int
    reason: ResetReason
    attempt: int = 0

    def voids(self, sequence: int) -> bool:
        """Whether text that came with that sequence is to be discarded."""
        if self.reason is ResetReason.PRUNED:
            return sequence < self.from_sequence
        return sequence >= self.from_sequence


@dataclass(frozen=True)
class PlanUpdate(Event):
    """The agent's plan, whole; it replaces the last one."""

    KIND: ClassVar[str] = "plan"

    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentUpdate(Event):
    """An agent was chosen, or took over: the one of that name."""

    KIND: ClassVar[str] = "agent_update"

    name: str
    agent_version: str = ""
    variant: str = ""
    routing_reason: str = ""


@dataclass(frozen=True)
class Artifact(Event):
    """A file that the agent made; either `uri` or `data` is set. The same artifact_id again replaces it."""

    KIND: ClassVar[str] = "artifact"

    artifact_id: str
    mime_type: str = ""
    title: str = ""
    uri: str = ""
    data: bytes = b""


@dataclass(frozen=True)
class Unknown(Event):
    """A payload that this package does not know. `type` and `message` are the chunk's; `chunk` has it all."""

    KIND: ClassVar[str] = "unknown"

    type: str = ""
    message: str = ""
