"""Events as ChatChunks, and ChatChunks as their readers want them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from agents.events import (
    Channel,
    EditsProposed,
    PlanChanged,
    SourcesCited,
    TextEmitted,
    TextVoided,
    TitleGiven,
    ToolAnswered,
    ToolCalled,
    ToolProgressed,
)
from agents.loader import UNDECIDED
from orchestrator.codec import outputs, permissions
from orchestrator.codec.errors import detail_of
from orchestrator.codec.strings import fill_strings
from orchestrator.codec.usage import usage
from orchestrator.events import (
    AgentChosen,
    AttemptBegan,
    ChunkHeader,
    LeftOff,
    PermissionAsked,
    PermissionResolved,
    RunCompleted,
    RunEvent,
    RunFailed,
    StatusChanged,
)
from orchestrator.places import Place
from orchestrator.reading import BecameTask
from protos import orchestrator_pb2 as pb
from state.models import FinishReason, RunId, RunState
from state.usage import Usage

_CHANNELS = {
    Channel.ANSWER: pb.CONTENT_CHANNEL_ANSWER,
    Channel.REASONING: pb.CONTENT_CHANNEL_REASONING,
}
FINISH_REASONS = {
    FinishReason.STOP: pb.FINISH_REASON_STOP,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.CONTENT_FILTER: pb.FINISH_REASON_CONTENT_FILTER,
    FinishReason.LIMIT: pb.FINISH_REASON_LIMIT,
}
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY_SECONDS = 86400
STATES = {state: pb.TaskState.Value(f"TASK_STATE_{state.name}") for state in RunState}


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How one reader wants its chunks; the defaults are those of an absent StreamOptions."""

    include_reasoning: bool = False
    structured_only: bool = False


def encode(event: RunEvent, header: ChunkHeader) -> bytes:
    """An event as the log keeps it: the payload set, the string fields left to the reading."""
    chunk = pb.ChatChunk(
        sequence=header.sequence,
        run_id=header.run_id,
        agent_name=shown_agent(header.agent_name),
    )
    since = header.time - _EPOCH
    time = chunk.time
    time.seconds = since.days * _DAY_SECONDS + since.seconds
    time.nanos = since.microseconds * 1000
    if metadata := _metadata(event):
        chunk.metadata.update(metadata)
    match event:
        case TextEmitted():
            content = chunk.content
            content.text = event.text
            content.message_index = event.message_index
            content.channel = _CHANNELS[event.channel]
            content.offset = event.offset
        case (
            ToolCalled()
            | ToolProgressed()
            | ToolAnswered()
            | EditsProposed()
            | PlanChanged()
            | SourcesCited()
            | TitleGiven()
        ):
            outputs.fill(chunk, event)
        case StatusChanged() | AgentChosen() | AttemptBegan() | TextVoided():
            _fill_stage(chunk, event)
        case PermissionAsked() | PermissionResolved():
            _put_permission(chunk, event, header)
        case RunCompleted() | RunFailed():
            _put_end(chunk, event)
        case _:
            assert_never(event)
    return chunk.SerializeToString()


def _fill_stage(chunk: pb.ChatChunk, event: StatusChanged | AgentChosen | AttemptBegan | TextVoided) -> None:
    match event:
        case StatusChanged():
            chunk.status.state = STATES[event.state]
            chunk.status.text = event.text
        case AgentChosen():
            chunk.agent_update.agent_name = event.agent_name
            chunk.agent_update.agent_version = event.agent_version
            chunk.agent_update.routing_reason = event.routing_reason
            chunk.agent_update.variant = event.variant
        case AttemptBegan() | TextVoided():
            chunk.reset.from_sequence = event.from_sequence
            chunk.reset.reason = pb.RESET_REASON_NEW_ATTEMPT
            chunk.reset.attempt = event.attempt


def _put_end(chunk: pb.ChatChunk, event: RunCompleted | RunFailed) -> None:
    match event:
        case RunCompleted():
            chunk.complete.finish_reason = FINISH_REASONS[event.result.finish_reason]
            chunk.complete.final_text = event.result.text
            chunk.complete.checkpoint_id = event.result.checkpoint_id
            chunk.tools_used.extend(event.result.tools_used)
        case RunFailed():
            chunk.error.CopyFrom(detail_of(event.error))
    chunk.usage.CopyFrom(usage(event.usage))


def shown_agent(agent_name: str) -> str:
    """The name as callers see it: empty until an agent is chosen."""
    return "" if agent_name == UNDECIDED else agent_name


def decode(payload: bytes, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk of the log as a reader wants it."""
    chunk = pb.ChatChunk.FromString(payload)
    if chunk.content.channel == pb.CONTENT_CHANNEL_REASONING and not options.include_reasoning:
        chunk.content.text = ""
    if not options.structured_only:
        fill_strings(chunk)
    return chunk


_AFTER_A_MESSAGE = frozenset({"tool_call", "tool_result", "permission_requested", "plan"})
"""What comes into a log only when the model's message before it is whole, and kept."""


def left_off(payloads: Iterable[bytes]) -> LeftOff:
    """How far a log without an end has come, from its chunks."""
    first: int | None = None
    texts = message = 0
    begins: dict[int, int] = {}
    introduced = False
    for chunk in map(pb.ChatChunk.FromString, payloads):
        kind = chunk.WhichOneof("payload")
        if kind == "reset":
            first = None
            void = [m for m, at in begins.items() if at >= chunk.reset.from_sequence]
            texts = min([texts, *void])
            for index in void:
                del begins[index]
        elif kind == "agent_update":
            introduced = True
        elif kind == "content":
            first = chunk.sequence if first is None else first
            message = chunk.content.message_index
            begins.setdefault(message, chunk.sequence)
        elif kind in _AFTER_A_MESSAGE and first is not None:
            first, texts = None, message + 1
    return LeftOff(first, texts, introduced)


def heartbeat(run_id: RunId, agent_name: str, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk that is in no log: the stream lives, there is just nothing to say."""
    return _unlogged(pb.ChatChunk(run_id=run_id, agent_name=agent_name, heartbeat=pb.Heartbeat()), options)


def pruned(run_id: RunId, agent_name: str, first: int, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk that is in no log: what comes before the sequence `first` is gone."""
    reset = pb.StreamReset(from_sequence=first, reason=pb.RESET_REASON_PRUNED)
    return _unlogged(pb.ChatChunk(run_id=run_id, agent_name=agent_name, reset=reset), options)


def in_line(run_id: RunId, agent_name: str, place: Place, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk that is in no log: where the run stands in line."""
    status = pb.StatusUpdate(
        state=pb.TASK_STATE_QUEUED,
        text=f"Waiting for a provider: number {place.position} in line",
        queue_position=place.position,
    )
    if place.wait_seconds is not None:
        status.estimated_wait.FromNanoseconds(int(place.wait_seconds * 1e9))
    return _unlogged(pb.ChatChunk(run_id=run_id, agent_name=agent_name, status=status), options)


def became_task(task: BecameTask, agent_name: str, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk that is in no log: the turn goes on as a task, and this stream ends."""
    done = pb.Completion(finish_reason=pb.FINISH_REASON_QUEUED, task_id=task.run_id)
    chunk = pb.ChatChunk(run_id=task.run_id, agent_name=agent_name, complete=done)
    chunk.metadata["task_status"] = "queued"
    return _unlogged(chunk, options)


def suspended(run_id: RunId, agent_name: str, options: ReaderOptions) -> pb.ChatChunk:
    """A chunk that is in no log: the run waits for a person, and this stream ends."""
    done = pb.Completion(finish_reason=pb.FINISH_REASON_WAITING_FOR_PERMISSION)
    chunk = pb.ChatChunk(run_id=run_id, agent_name=agent_name, complete=done)
    chunk.metadata["task_status"] = "permission_required"
    return _unlogged(chunk, options)


def waits_for_a_person(chunk: pb.ChatChunk) -> bool:
    """Whether a chunk is the last of a log until somebody decides."""
    return chunk.HasField("status") and chunk.status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION


def _unlogged(chunk: pb.ChatChunk, options: ReaderOptions) -> pb.ChatChunk:
    chunk.agent_name = shown_agent(chunk.agent_name)
    chunk.time.GetCurrentTime()
    if not options.structured_only:
        fill_strings(chunk)
    return chunk


def usage_of(stored: Mapping[str, Any]) -> pb.Usage:
    """The usage of a run that has ended, as it was stored."""
    return usage(Usage.parsed(stored))


def _put_permission(
    chunk: pb.ChatChunk, event: PermissionAsked | PermissionResolved, header: ChunkHeader
) -> None:
    if isinstance(event, PermissionResolved):
        chunk.permission_resolved.CopyFrom(permissions.resolved(event.permission))
        return
    # As it will stand in the table, but for what lies between this clock and the database's.
    expires = header.time + timedelta(seconds=event.timeout_seconds)
    asked = permissions.asked(event.question, header.time, expires)
    asked.run_id = header.run_id
    asked.conversation_id = event.conversation_id
    chunk.permission_requested.permission.CopyFrom(asked)


def _metadata(event: RunEvent) -> dict[str, str]:
    match event:
        case StatusChanged():
            return dict(event.metadata)
        case RunCompleted():
            result = event.result
            return {
                **result.metadata,
                "provider": result.provider,
                "model": result.model,
                "generation_id": result.generation_id,
                "task_status": "complete",
                **event.about,
                **({"limit": result.limit} if result.limit else {}),
            }
        case RunFailed():
            partial = {"partial": "true"} if event.partial else {}
            return {"task_status": "error", **event.about, **partial}
        case _:
            return {}
