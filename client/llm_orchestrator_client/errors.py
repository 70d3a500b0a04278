"""What goes wrong, as exceptions: one class per thing that a caller does about it.

OrchestratorError
  InvalidRequestError     change the request (`violations`: field -> what is wrong with it)
  UnauthenticatedError    no credentials, or bad ones
  PermissionDeniedError   the credentials do not cover this user
  NotFoundError           it does not exist, or is somebody else's
  ConversationBusyError   another run is active there (`run_id`)
  AlreadyExistsError      the idempotency key was used for something else
  PreconditionError       not in this state: decided already, expired, ...
  SequenceError           beyond the end of the log
  SaturatedError          no room now; `retry_after` says when
    QuotaError            the user's own quota is used up
  UnavailableError        not reachable, draining, or what it stands on is down
    LostError             the run's stream broke and could not be taken up again in time
  DeadlineError           the time is over
  CancelledError          somebody cancelled the run
  UnsupportedError        this server does not offer it
  ServerError             a defect of the server; the message holds an id for its log
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from llm_orchestrator_client.values import ErrorDetail

_DETAILS_KEY = "grpc-status-details-bin"
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class OrchestratorError(Exception):
    """A call, or a run, failed.

    `reason`: stable, UPPER_SNAKE, to branch on; empty when no server said one (the connection failed).
    `retry_after`: when the same request may succeed; None = not known. `retryable`: whether the server says
    that it may, or no server was reached that could. `metadata`: the values in the message, by name.
    """

    code: grpc.StatusCode
    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        retryable: bool = False,
        retry_after: timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.retryable = retryable
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        self.violations = dict(violations or {})

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class InvalidRequestError(OrchestratorError):
    """The request must change."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class UnauthenticatedError(OrchestratorError):
    """No credentials, or bad ones."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDeniedError(OrchestratorError):
    """The credentials do not cover this user."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class NotFoundError(OrchestratorError):
    """It does not exist, or is somebody else's."""

    default_code = grpc.StatusCode.NOT_FOUND


class ConversationBusyError(OrchestratorError):
    """Another run of the conversation is active."""

    default_code = grpc.StatusCode.ABORTED

    @property
    def run_id(self) -> str:
        """The run that is active; empty when not told."""
        return self.metadata.get("run_id", "")


class AlreadyExistsError(OrchestratorError):
    """The idempotency key was used for something else."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class PreconditionError(OrchestratorError):
    """What was asked for is not possible in this state."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class SequenceError(OrchestratorError):
    """Beyond the end of the log."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class SaturatedError(OrchestratorError):
    """There is no room now."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QuotaError(SaturatedError):
    """The user's quota is used up."""


class UnavailableError(OrchestratorError):
    """Not reachable, draining, or what the server stands on is down."""

    default_code = grpc.StatusCode.UNAVAILABLE


class LostError(UnavailableError):
    """A run's stream broke and could not be taken up again in time. The run itself may go on."""


class DeadlineError(OrchestratorError):
    """The time is over: the caller's, or the server's own."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledError(OrchestratorError):
    """Somebody cancelled the run. This is not asyncio.CancelledError."""

    default_code = grpc.StatusCode.CANCELLED


class UnsupportedError(OrchestratorError):
    """This server does not offer it."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class ServerError(OrchestratorError):
    """A defect of the server, or of something in between."""

    default_code = grpc.StatusCode.INTERNAL


_BY_CODE: dict[grpc.StatusCode, type[OrchestratorError]] = {
    kind.default_code: kind
    for kind in (
        InvalidRequestError,
        UnauthenticatedError,
        PermissionDeniedError,
        NotFoundError,
        ConversationBusyError,
        AlreadyExistsError,
        PreconditionError,
        SequenceError,
        SaturatedError,
        UnavailableError,
        DeadlineError,
        CancelledError,
        UnsupportedError,
        ServerError,
    )
}


def error_class(code: grpc.StatusCode, reason: str) -> type[OrchestratorError]:
    """Which exception stands for that code and reason."""
    return QuotaError if reason == "QUOTA" else _BY_CODE.get(code, OrchestratorError)


def from_detail(detail: ErrorDetail) -> OrchestratorError:
    """How a run ended, as its log says it."""
    code = _CODES.get(detail.code, grpc.StatusCode.UNKNOWN)
    return error_class(code, detail.reason)(
        detail.message,
        code=code,
        reason=detail.reason,
        retryable=detail.retryable,
        retry_after=detail.retry_after,
        metadata=detail.metadata,
    )


def from_call(error: grpc.aio.AioRpcError) -> OrchestratorError:
    """A call's status. One without details comes from this side or from something in between."""
    info, retry, request = _details(error)
    code, reason = error.code(), info.reason
    after = retry.retry_delay.ToTimedelta() if retry is not None else None
    return error_class(code, reason)(
        error.details() or code.name,
        code=code,
        reason=reason,
        retryable=after is not None if reason else code is grpc.StatusCode.UNAVAILABLE,
        retry_after=after,
        metadata=info.metadata,
        violations={violation.field: violation.description for violation in request.field_violations},
    )


def _details(
    error: grpc.aio.AioRpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo | None, error_details_pb2.BadRequest]:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    request = error_details_pb2.BadRequest()
    found: error_details_pb2.RetryInfo | None = None
    for detail in _status(error).details:
        detail.Unpack(info)
        detail.Unpack(request)
        found = retry if detail.Unpack(retry) else found
    return info, found, request


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break  # something in between has cut it: the code is still right
    return status_pb2.Status()
