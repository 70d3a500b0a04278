"""Our errors as gRPC statuses. The one table from reason to code stands here."""

from collections.abc import Iterable, Mapping
from typing import Protocol, assert_never
from urllib.parse import quote

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from protos import orchestrator_pb2 as pb
from state.errors import OrchestratorError, Reason
from state.violations import Detail, FieldViolation, PreconditionViolation, QuotaViolation, Resource

DOMAIN = "orchestrator"

CODES: dict[Reason, int] = {
    Reason.INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    Reason.UNAUTHENTICATED: code_pb2.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: code_pb2.PERMISSION_DENIED,
    Reason.IDENTITY_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.SEQUENCE_OUT_OF_RANGE: code_pb2.OUT_OF_RANGE,
    Reason.UNIMPLEMENTED: code_pb2.UNIMPLEMENTED,
    Reason.CONVERSATION_BUSY: code_pb2.ABORTED,
    Reason.CONVERSATION_NOT_EMPTY: code_pb2.FAILED_PRECONDITION,
    Reason.REQUEST_ID_REUSED: code_pb2.ALREADY_EXISTS,
    Reason.REJECTED_AT_DRAIN: code_pb2.ALREADY_EXISTS,
    Reason.WRONG_STATE: code_pb2.FAILED_PRECONDITION,
    Reason.QUEUE_FULL: code_pb2.RESOURCE_EXHAUSTED,
    Reason.CANCELLED: code_pb2.CANCELLED,
    Reason.DEADLINE_EXCEEDED: code_pb2.DEADLINE_EXCEEDED,
    Reason.QUOTA: code_pb2.RESOURCE_EXHAUSTED,
    Reason.OVERLOADED: code_pb2.UNAVAILABLE,
    Reason.SLOW_READER: code_pb2.RESOURCE_EXHAUSTED,
    Reason.DRAINING: code_pb2.UNAVAILABLE,
    Reason.DATABASE_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.WORKER_LOST: code_pb2.UNAVAILABLE,
    Reason.PROVIDER_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.PROVIDER_SATURATED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.PROVIDER_REJECTED: code_pb2.FAILED_PRECONDITION,
    Reason.PROVIDER_BROKEN: code_pb2.UNAVAILABLE,
    Reason.AGENT_FAILED: code_pb2.INTERNAL,
    Reason.INTERNAL: code_pb2.INTERNAL,
}

# Trailers above 8 KiB may be dropped on the way, and the caller then sees another code than the one sent. A
# status travels twice: its message percent-encoded, and the whole in base64.
MESSAGE_CHARACTERS = 512
MESSAGE_ENCODED_BYTES = 1536
STATUS_BYTES = 4096
_TEXT_CHARACTERS = 160
_METADATA_BYTES = 2048
_VIOLATIONS = 8


class _Violations(Protocol):
    """A repeated field of violations."""

    def __len__(self) -> int: ...
    def add(self, **texts: str) -> object: ...


def detail_of(error: OrchestratorError) -> pb.ErrorDetail:
    """An error as the chunk that ends a log carries it."""
    detail = pb.ErrorDetail(
        code=CODES[error.reason],
        reason=error.reason,
        message=_short(error.message),
        retryable=error.retry_after is not None,
        metadata=_metadata(error.metadata),
    )
    if error.retry_after is not None:
        detail.retry_after.CopyFrom(_duration(error.retry_after))
    return detail


def grpc_status_of(error: OrchestratorError) -> "grpc.Status":
    """An error as what a handler aborts with."""
    return rpc_status.to_status(status_of(error))


def grpc_status_of_detail(detail: pb.ErrorDetail) -> "grpc.Status":
    """The same for the error chunk that ended a log."""
    return rpc_status.to_status(_status(detail, ()))


def status_of(error: OrchestratorError) -> status_pb2.Status:
    """An error as an RPC's status: ErrorInfo always, more details as far as they fit."""
    return _status(detail_of(error), error.details)


def _status(detail: pb.ErrorDetail, more: Iterable[Detail]) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(reason=detail.reason, domain=DOMAIN, metadata=detail.metadata)
    status = status_pb2.Status(code=detail.code, message=detail.message, details=[_packed(info)])
    if detail.HasField("retry_after"):
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=detail.retry_after)))
    for packed in map(_packed, _grouped(more)):
        status.details.append(packed)
        if status.ByteSize() > STATUS_BYTES:
            del status.details[-1]
    return status


def _grouped(details: Iterable[Detail]) -> list[Message]:
    """The details by kind, each kind one message of google.rpc, the first few of each."""
    request, quota = error_details_pb2.BadRequest(), error_details_pb2.QuotaFailure()
    precondition = error_details_pb2.PreconditionFailure()
    messages: list[Message] = [request, quota, precondition]
    for detail in details:
        match detail:
            case FieldViolation():
                _add(request.field_violations, field=detail.field, description=detail.description)
            case QuotaViolation():
                _add(quota.violations, subject=detail.subject, description=detail.description)
            case PreconditionViolation():
                _add(
                    precondition.violations,
                    type=detail.kind,
                    subject=detail.subject,
                    description=detail.description,
                )
            case Resource():
                messages.append(
                    error_details_pb2.ResourceInfo(
                        resource_type=detail.kind, resource_name=detail.name[:_TEXT_CHARACTERS]
                    )
                )
            case _:
                assert_never(detail)
    return [message for message in messages if message.ByteSize()]


def _add(violations: _Violations, **texts: str) -> None:
    if len(violations) < _VIOLATIONS:
        violations.add(**{name: text[:_TEXT_CHARACTERS] for name, text in texts.items()})


def _short(message: str) -> str:
    short = _sendable(message[:MESSAGE_CHARACTERS])
    while len(quote(short)) > MESSAGE_ENCODED_BYTES:
        short = short[: len(short) * 3 // 4]
    return short


def _sendable(text: str) -> str:
    """Without halves of pairs, which no UTF-8 can hold."""
    return text.encode(errors="replace").decode()


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The first entries, cut to so many characters each, that have room together."""
    fitting: dict[str, str] = {}
    left = _METADATA_BYTES
    for name, value in metadata.items():
        short_name, short = _sendable(name[:_TEXT_CHARACTERS]), _sendable(value[:_TEXT_CHARACTERS])
        left -= len(short_name.encode()) + len(short.encode())
        if left < 0:
            break
        fitting[short_name] = short
    return fitting


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
