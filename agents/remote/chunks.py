"""A remote's chunks as what the graph hears. Whatever they hold, the rest of the service can take it.

Unknown payloads and enum values are a newer server's: the first are left out, the second are UNSPECIFIED.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as ProtoMessage

from agents.calls import speakable
from agents.elsewhere import (
    AskedThere,
    EditsHeard,
    EndedThere,
    EventHeard,
    FailedThere,
    Heard,
    LostThere,
    SettledThere,
    TextHeard,
    UsedThere,
    VoidedThere,
    WaitsThere,
)
from agents.events import Channel, Citation, PlanChanged, ToolAnswered, ToolCalled
from agents.remote.failures import GARBLED, error_of
from agents.remote.questions import question_of
from protos import orchestrator_pb2 as pb
from state.errors import ProviderBrokenError
from state.models import FinishReason
from state.usage import ModelUsage, Usage

_NAME_CHARACTERS = 128
_SUMMARY_CHARACTERS = 2000
_URI_CHARACTERS = 2000
_STRUCT_BYTES = 64 * 1024
_OPERATIONS = 500
_OPERATION_KINDS = frozenset({"replace_range", "insert_after", "insert_after_heading", "delete_range"})

_FINISHED = {
    pb.FINISH_REASON_UNSPECIFIED: FinishReason.STOP,
    pb.FINISH_REASON_STOP: FinishReason.STOP,
    pb.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    pb.FINISH_REASON_LIMIT: FinishReason.LIMIT,
    pb.FINISH_REASON_CONTENT_FILTER: FinishReason.CONTENT_FILTER,
}
_NOT_SUCCEEDED = (pb.FINISH_REASON_CANCELLED, pb.FINISH_REASON_ERROR)


def heard(chunk: pb.ChatChunk, remote: str, currency: str) -> list[Heard]:
    """What a chunk says. `currency`: the one that costs are counted in here.

    Raises:
        ProviderBrokenError: It holds what JSON, or a time, cannot be.
    """
    try:
        return list(_heard(chunk, remote, currency))
    except (json_format.Error, ValueError) as error:
        raise ProviderBrokenError(GARBLED) from error


def _heard(chunk: pb.ChatChunk, remote: str, currency: str) -> Iterator[Heard]:
    sequence = max(chunk.sequence, 0)
    if chunk.HasField("usage"):
        yield UsedThere(0, _usage(chunk.usage, remote, currency))
    match chunk.WhichOneof("payload"):
        case "content":
            yield _text(sequence, chunk.content)
        case "tool_call" | "tool_result" | "plan":
            yield EventHeard(sequence, _event(chunk))
        case "editor_operations":
            yield EditsHeard(sequence, tuple(_operations(chunk.editor_operations)))
        case "permission_requested" | "permission_resolved" | "status":
            yield from _consent(sequence, chunk, remote)
        case "reset":
            yield _reset(sequence, chunk.reset)
        case "complete" | "error":
            yield from _end(sequence, chunk)
        case _:
            pass


def _text(sequence: int, content: pb.ContentDelta) -> TextHeard:
    reasoning = content.channel == pb.CONTENT_CHANNEL_REASONING
    cited = tuple(one for one in map(_citation, content.citations) if one.uri or one.document_id)
    channel = Channel.REASONING if reasoning else Channel.ANSWER
    return TextHeard(sequence, content.text.replace("\0", ""), channel, content.message_index, cited)


def _citation(one: pb.Citation) -> Citation:
    uri = one.uri[:_URI_CHARACTERS] if one.uri.startswith(("http://", "https://")) else ""
    document = "" if uri else one.document_id[:_NAME_CHARACTERS]
    return Citation(one.id[:_NAME_CHARACTERS], uri, one.title[:_SUMMARY_CHARACTERS], document)


def _event(chunk: pb.ChatChunk) -> ToolCalled | ToolAnswered | PlanChanged:
    if chunk.HasField("tool_call"):
        call = chunk.tool_call
        shown = orjson.dumps(plain(call.arguments)).decode()
        return ToolCalled(_id(call.tool_call_id), speakable(call.tool_name), shown, call.read_only)
    if chunk.HasField("plan"):
        return PlanChanged(plain(chunk.plan.plan))
    result = chunk.tool_result
    return ToolAnswered(
        _id(result.tool_call_id),
        speakable(result.tool_name),
        ok=result.ok,
        summary=result.summary[:_SUMMARY_CHARACTERS],
        elapsed_seconds=max(0.0, min(result.elapsed.seconds + result.elapsed.nanos / 1e9, 1e6)),
        reason="" if result.ok else "TOOL_FAILED",
        retryable=result.error.retryable,
    )


def _id(text: str) -> str:
    # Postgres keeps no NUL: with one in a model's name the run could not end.
    return text.replace("\0", "")[:_NAME_CHARACTERS]


def plain(struct: ProtoMessage) -> dict[str, Any]:
    """A Struct as JSON; empty where it is more than is shown."""
    return MessageToDict(struct) if struct.ByteSize() <= _STRUCT_BYTES else {}


def _operations(edits: pb.EditorOperations) -> Iterator[dict[str, Any]]:
    for value in edits.operations.values[:_OPERATIONS]:
        operation = MessageToDict(value.struct_value)
        if operation.get("op_type") in _OPERATION_KINDS:
            yield operation


def _consent(sequence: int, chunk: pb.ChatChunk, remote: str) -> Iterator[Heard]:
    if chunk.HasField("permission_requested"):
        asked = chunk.permission_requested.permission
        if not asked.permission_id:
            raise ProviderBrokenError(GARBLED)
        yield AskedThere(sequence, asked.permission_id, asked.arguments_digest, question_of(asked, remote))
    elif chunk.HasField("permission_resolved"):
        yield SettledThere(sequence, chunk.permission_resolved.permission_id)
    elif chunk.status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION:
        yield WaitsThere(sequence)


def _reset(sequence: int, reset: pb.StreamReset) -> Heard:
    if reset.reason == pb.RESET_REASON_PRUNED:
        return LostThere(sequence)
    return VoidedThere(sequence, max(reset.from_sequence, 0), max(reset.attempt, 1))


def _end(sequence: int, chunk: pb.ChatChunk) -> Iterator[Heard]:
    if chunk.HasField("error"):
        after = chunk.error.retry_after
        told = after.ToNanoseconds() / 1e9 if chunk.error.HasField("retry_after") else None
        yield FailedThere(sequence, error_of(chunk.error.code, chunk.error.reason, told))
        return
    done = chunk.complete
    if done.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION:
        yield WaitsThere(sequence)
    elif done.finish_reason in _NOT_SUCCEEDED:
        yield FailedThere(sequence, ProviderBrokenError(GARBLED))
    elif done.finish_reason != pb.FINISH_REASON_QUEUED:
        finished = _FINISHED.get(done.finish_reason, FinishReason.STOP)
        limit = _id(chunk.metadata["limit"]) if finished is FinishReason.LIMIT else ""
        yield EndedThere(
            sequence,
            finished,
            done.final_text.replace("\0", ""),
            limit,
            _id(chunk.metadata["model"]),
            _id(done.checkpoint_id),
        )


def _usage(told: pb.Usage, remote: str, currency: str) -> Usage:
    """Their usage as ours: what they do not say by model is the first one's. Foreign money is none."""
    ours = told.currency == currency
    provider = provider_of(remote)
    parts = [
        ModelUsage(
            provider,
            _id(one.model),
            _count(one.input_tokens),
            _count(one.output_tokens),
            cost_micros=_count(one.cost_micros) * ours,
        )
        for one in told.by_model[:100]
    ] or [ModelUsage(provider, "")]
    known = Usage.of(parts).total
    rest = ModelUsage(
        provider,
        parts[0].model,
        max(0, _count(told.input_tokens) - known.input_tokens),
        max(0, _count(told.output_tokens) - known.output_tokens),
        _count(told.cached_input_tokens),
        _count(told.reasoning_tokens),
        _count(told.model_calls),
        max(0, _count(told.cost_micros) * ours - known.cost_micros),
        estimated=told.estimated or (told.cost_micros > 0 and not ours),
    )
    return Usage.of([*parts, rest], tool_calls=_count(told.tool_calls), currency=currency)


def _count(number: int) -> int:
    return max(0, min(number, 1 << 40))


def provider_of(remote: str) -> str:
    """What a remote is called among the providers."""
    return f"remote:{remote}"
