"""What a handler raises, and with which status the call then ends.

    ToolServiceError
    |- NotFoundError            told to the model, as are the next three
    |- InvalidArgumentError
    |- FailedPreconditionError
    |- PermissionDeniedError
    |- UnauthenticatedError     the caller, not the user
    |- UnimplementedError       the tool is off; the orchestrator asks again a minute later
    |- UnavailableError         called again, if it only reads or is idempotent
    |- OverloadedError
    `- TooSlowError

Their messages are sent: no secret, and no other exception's text, may be in one.
"""

from collections.abc import Mapping
from typing import ClassVar

from google.rpc import code_pb2


class ToolServiceError(Exception):
    """A call that is answered with a status. `message` is sent as it is, up to a length.

    `reason` is upper snake case. `field`: the field of the request that is at fault. `retry_seconds`: when
    the same call may succeed.
    """

    code: ClassVar[int] = code_pb2.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retry_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.field = field
        self.retry_seconds = retry_seconds
        self.metadata = dict(metadata or {})


class NotFoundError(ToolServiceError):
    """There is nothing of this kind for this user."""

    code = code_pb2.NOT_FOUND
    default_reason = "NOT_FOUND"


class InvalidArgumentError(ToolServiceError):
    """The request itself is wrong, whatever the state of things."""

    code = code_pb2.INVALID_ARGUMENT
    default_reason = "INVALID_ARGUMENT"


class FailedPreconditionError(ToolServiceError):
    """It cannot be done as things are, as when a line no longer reads as expected."""

    code = code_pb2.FAILED_PRECONDITION
    default_reason = "FAILED_PRECONDITION"


class PermissionDeniedError(ToolServiceError):
    """The user may not do this with what the user can see. For what the user cannot see: NotFoundError."""

    code = code_pb2.PERMISSION_DENIED
    default_reason = "PERMISSION_DENIED"


class UnauthenticatedError(ToolServiceError):
    """Whoever calls has not shown that it is the orchestrator."""

    code = code_pb2.UNAUTHENTICATED
    default_reason = "UNAUTHENTICATED"


class UnimplementedError(ToolServiceError):
    """This backend does not have the tool."""

    code = code_pb2.UNIMPLEMENTED
    default_reason = "UNIMPLEMENTED"


class UnavailableError(ToolServiceError):
    """Something that the backend needs cannot be reached now; nothing has been done."""

    code = code_pb2.UNAVAILABLE
    default_reason = "UNAVAILABLE"


class OverloadedError(ToolServiceError):
    """There is too much to do now; nothing has been done."""

    code = code_pb2.RESOURCE_EXHAUSTED
    default_reason = "OVERLOADED"


class TooSlowError(ToolServiceError):
    """The call has taken longer than it may."""

    code = code_pb2.DEADLINE_EXCEEDED
    default_reason = "DEADLINE_EXCEEDED"
