"""Our errors as gRPC statuses. The one table from reason to code stands here."""

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from protos import orchestrator_pb2 as pb
from state.errors import InvalidRequestError, OrchestratorError, Reason

DOMAIN = "orchestrator"

CODES: dict[Reason, int] = {
    Reason.INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    Reason.NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.UNIMPLEMENTED: code_pb2.UNIMPLEMENTED,
    Reason.CANCELLED: code_pb2.CANCELLED,
    Reason.DRAINING: code_pb2.UNAVAILABLE,
    Reason.DATABASE_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.WORKER_LOST: code_pb2.UNAVAILABLE,
    Reason.PROVIDER_UNAVAILABLE: code_pb2.UNAVAILABLE,
    Reason.PROVIDER_SATURATED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.PROVIDER_REJECTED: code_pb2.FAILED_PRECONDITION,
    Reason.PROVIDER_BROKEN: code_pb2.UNAVAILABLE,
    Reason.INTERNAL: code_pb2.INTERNAL,
}

# Trailers above 8 KiB may be dropped on the way; percent-encoding triples the length of non-ASCII text.
_MESSAGE_CHARACTERS = 512
_VIOLATIONS = 16
_VIOLATION_CHARACTERS = 160


def detail_of(error: OrchestratorError) -> pb.ErrorDetail:
    """An error as the chunk that ends a log carries it."""
    detail = pb.ErrorDetail(
        code=CODES[error.reason],
        reason=error.reason,
        message=error.message[:_MESSAGE_CHARACTERS],
        retryable=error.retry_after is not None,
    )
    if error.retry_after is not None:
        detail.retry_after.CopyFrom(_duration(error.retry_after))
    return detail


def grpc_status_of(error: OrchestratorError) -> "grpc.Status":
    """An error as what a handler aborts with."""
    return rpc_status.to_status(status_of(error))


def grpc_status_of_detail(detail: pb.ErrorDetail) -> "grpc.Status":
    """The same for the error chunk that ended a log."""
    return rpc_status.to_status(status_of_detail(detail))


def status_of(error: OrchestratorError) -> status_pb2.Status:
    """An error as an RPC's status."""
    status = status_of_detail(detail_of(error))
    if isinstance(error, InvalidRequestError) and error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field[:_VIOLATION_CHARACTERS],
                description=violation.description[:_VIOLATION_CHARACTERS],
            )
            for violation in error.violations[:_VIOLATIONS]
        ]
        status.details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    return status


def status_of_detail(detail: pb.ErrorDetail) -> status_pb2.Status:
    """The status that follows the error chunk of a log: the same error again."""
    details = [
        _packed(error_details_pb2.ErrorInfo(reason=detail.reason, domain=DOMAIN, metadata=detail.metadata))
    ]
    if detail.HasField("retry_after"):
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=detail.retry_after)))
    return status_pb2.Status(code=detail.code, message=detail.message, details=details)


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration
