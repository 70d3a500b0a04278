"""What events and answers are made of, as plain Python: aware datetimes in UTC, durations as timedeltas.

Enums are open, as in the contract: an unknown number reads as UNSPECIFIED (the message itself still has it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from llm_orchestrator_client.protos import orchestrator_pb2 as pb


class OpenEnum(IntEnum):
    """Numbers as on the wire; one that is not known here is 0, UNSPECIFIED."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls(0) if isinstance(value, int) and value else None


class TaskState(OpenEnum):
    """Where a run stands. SUCCEEDED, FAILED, CANCELLED and EXPIRED are terminal and never change."""

    UNSPECIFIED = 0
    QUEUED = 1
    RUNNING = 2
    WAITING_FOR_PERMISSION = 3
    CANCELLING = 4
    SUCCEEDED = 5
    FAILED = 6
    CANCELLED = 7
    EXPIRED = 8

    @property
    def terminal(self) -> bool:
        """Whether the run is over."""
        return self >= TaskState.SUCCEEDED


class FinishReason(OpenEnum):
    """Why a run, or a stream, ended."""

    UNSPECIFIED = 0
    STOP = 1
    LENGTH = 2
    LIMIT = 3
    CONTENT_FILTER = 4
    CANCELLED = 5
    WAITING_FOR_PERMISSION = 6
    ERROR = 7
    QUEUED = 8


class Channel(OpenEnum):
    """What a piece of text belongs to; UNSPECIFIED counts as ANSWER."""

    UNSPECIFIED = 0
    ANSWER = 1
    REASONING = 2


class ResetReason(OpenEnum):
    """Why text is void."""

    UNSPECIFIED = 0
    PRUNED = 1
    NEW_ATTEMPT = 2


class PermissionState(OpenEnum):
    """Where a permission stands."""

    UNSPECIFIED = 0
    PENDING = 1
    APPROVED = 2
    DENIED = 3
    EXPIRED = 4
    CANCELLED = 5
    REVOKED = 6


class PermissionScope(OpenEnum):
    """What an approval covers; UNSPECIFIED counts as ONCE."""

    UNSPECIFIED = 0
    ONCE = 1
    RUN = 2
    CONVERSATION = 3


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of some text; either `uri` or `document_id` is set."""

    id: str = ""
    uri: str = ""
    title: str = ""
    document_id: str = ""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """The share of one model; cost in micro-units of the Usage's currency."""

    provider: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run, or a span of time, has used; cost in micro-units of the ISO 4217 `currency`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    cost_micros: int = 0
    currency: str = ""
    by_model: tuple[ModelUsage, ...] = ()
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """How a run or a tool failed. `code` is a google.rpc.Code; `retry_after` None = unknown."""

    code: int = 0
    reason: str = ""
    message: str = ""
    retryable: bool = False
    retry_after: timedelta | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A tool call that waits for a person, or was decided. `arguments` are exactly what an approval runs."""

    permission_id: str
    run_id: str = ""
    conversation_id: str = ""
    operation_type: str = ""
    tool_name: str = ""
    arguments: Mapping[str, Any] | None = None
    arguments_digest: str = ""
    query: str = ""
    reasoning: str = ""
    safety_level: str = ""
    reversible: bool = False
    state: PermissionState = PermissionState.UNSPECIFIED
    allowed_scopes: tuple[PermissionScope, ...] = ()
    create_time: datetime | None = None
    expire_time: datetime | None = None
    scope: PermissionScope = PermissionScope.UNSPECIFIED
    decided_by: str = ""
    decide_time: datetime | None = None


def moment(message: Message, field: str) -> datetime | None:
    """The Timestamp in that field as an aware datetime (microseconds), None when absent or no such time."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        after = timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
        return datetime.fromtimestamp(0, UTC) + after
    except OverflowError:
        return None


def span(message: Message, field: str) -> timedelta | None:
    """The Duration in that field (microseconds), None when absent or longer than a timedelta can be."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    try:
        return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)
    except OverflowError:
        return None


def plain(value: Struct | ListValue | Value) -> Any:  # noqa: ANN401 - JSON is what it is
    """JSON as Python holds it; a whole number becomes an int."""
    if isinstance(value, Struct):
        return {key: plain(value.fields[key]) for key in sorted(value.fields)}  # a map has no order
    if isinstance(value, ListValue):
        return [plain(item) for item in value.values]
    kind = value.WhichOneof("kind")
    if kind in ("struct_value", "list_value"):
        return plain(getattr(value, kind))
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return None if kind in (None, "null_value") else getattr(value, kind)


def usage_of(usage: pb.Usage) -> Usage:
    """The contract's Usage as ours."""
    models = (
        ModelUsage(m.provider, m.model, m.input_tokens, m.output_tokens, m.cost_micros)
        for m in usage.by_model
    )
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        model_calls=usage.model_calls,
        tool_calls=usage.tool_calls,
        cost_micros=usage.cost_micros,
        currency=usage.currency,
        by_model=tuple(models),
        estimated=usage.estimated,
    )


def error_of(error: pb.ErrorDetail) -> ErrorDetail:
    """The contract's ErrorDetail as ours."""
    after = span(error, "retry_after")
    return ErrorDetail(error.code, error.reason, error.message, error.retryable, after, dict(error.metadata))


def permission_of(permission: pb.PendingPermission) -> Permission:
    """The contract's PendingPermission as ours."""
    return Permission(
        permission_id=permission.permission_id,
        run_id=permission.run_id,
        conversation_id=permission.conversation_id,
        operation_type=permission.operation_type,
        tool_name=permission.tool_name,
        arguments=plain(permission.arguments),
        arguments_digest=permission.arguments_digest,
        query=permission.query,
        reasoning=permission.reasoning,
        safety_level=permission.safety_level,
        reversible=permission.reversible,
        state=PermissionState(permission.state),
        allowed_scopes=tuple(PermissionScope(scope) for scope in permission.allowed_scopes),
        create_time=moment(permission, "create_time"),
        expire_time=moment(permission, "expire_time"),
        scope=PermissionScope(permission.scope),
        decided_by=permission.decided_by,
        decide_time=moment(permission, "decide_time"),
    )
