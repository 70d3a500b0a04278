"""What each way in which a backend can fail means: for the model, for a retry, and for the breaker."""

from dataclasses import dataclass
from enum import Enum, auto

import grpc

from tools.base import Tool, ToolOutcome
from tools.results import capped, failed

_LONGEST_MESSAGE = 2048
_TOO_LARGE = "Received message larger than max"


class Blame(Enum):
    """What a failure says of the backend: that it has a problem, that it works, or nothing."""

    BACKEND = auto()
    CALL = auto()
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that did not give an answer.

    `sentence` is what the model is told; `repeats_backend`: instead of it the backend's own text, which the
    contract says is for the model. `unsure`: the call may have had its effect.
    """

    reason: str
    sentence: str
    blame: Blame
    retryable: bool = False
    repeats_backend: bool = False
    unsure: bool = False


OFF = Failure("TOOL_OFF", "This tool is off. Go on without it.", Blame.CALL)
UNREACHABLE = Failure(
    "TOOL_UNAVAILABLE", "The tool cannot be reached now.", Blame.BACKEND, retryable=True, unsure=True
)
REFUSED_FOR_NOW = Failure("TOOL_UNAVAILABLE", "The tool cannot be reached now.", Blame.NOBODY, retryable=True)
OVERLOADED = Failure("TOOL_OVERLOADED", "The tool has too much to do now.", Blame.BACKEND, retryable=True)
TOO_SLOW = Failure(
    "TOOL_TIMEOUT", "The tool did not answer in time.", Blame.BACKEND, retryable=True, unsure=True
)
NO_TIME = Failure("DEADLINE_EXCEEDED", "There is no time left for this call.", Blame.NOBODY)
CUT_SHORT = Failure("DEADLINE_EXCEEDED", "There was no time left for this call.", Blame.NOBODY, unsure=True)
BUSY = Failure("TOOL_BUSY", "Too many tools are at work now.", Blame.NOBODY, retryable=True)
BROKEN = Failure("TOOL_FAILED", "The tool failed.", Blame.BACKEND, unsure=True)
REJECTED = Failure("TOOL_FAILED", "The tool failed.", Blame.NOBODY, unsure=True)
GARBLED = Failure("TOOL_GARBLED", "The tool's answer cannot be read.", Blame.BACKEND, unsure=True)
TOO_LARGE = Failure(
    "RESULT_TOO_LARGE", "The tool's answer is too large. Ask for less.", Blame.CALL, unsure=True
)


def _told(reason: str, sentence: str) -> Failure:
    return Failure(reason, sentence, Blame.CALL, repeats_backend=True)


_BY_CODE = {
    grpc.StatusCode.NOT_FOUND: _told("NOT_FOUND", "The tool has found nothing of this kind."),
    grpc.StatusCode.INVALID_ARGUMENT: _told("INVALID_ARGUMENT", "The tool does not accept these arguments."),
    grpc.StatusCode.FAILED_PRECONDITION: _told("FAILED_PRECONDITION", "The tool cannot do this now."),
    grpc.StatusCode.PERMISSION_DENIED: _told("PERMISSION_DENIED", "The user may not do this."),
    grpc.StatusCode.UNIMPLEMENTED: OFF,
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OVERLOADED,
    grpc.StatusCode.DEADLINE_EXCEEDED: TOO_SLOW,
    grpc.StatusCode.INTERNAL: BROKEN,
    # What a Python or Go server makes of an exception that nobody caught.
    grpc.StatusCode.UNKNOWN: BROKEN,
    grpc.StatusCode.DATA_LOSS: BROKEN,
}


class CallFailedError(Exception):
    """A call without an answer. `text`: what the backend has said, as far as that is for the model."""

    def __init__(self, failure: Failure, text: str = "") -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.text = text


def of_status(error: grpc.aio.AioRpcError) -> CallFailedError:
    """What a status means. Its text goes no further unless it is for the model."""
    details = error.details() or ""
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        return CallFailedError(TOO_LARGE)
    failure = _BY_CODE.get(error.code(), REJECTED)
    return CallFailedError(failure, details if failure.repeats_backend else "")


def outcome(tool: Tool, error: CallFailedError, *, untrusted: bool = False) -> ToolOutcome:
    """A failed call as the model is told of it. `untrusted`: the backend repeats what strangers wrote."""
    failure = error.failure
    text, _ = capped(error.text or failure.sentence, min(_LONGEST_MESSAGE, tool.max_result_bytes))
    unsure = failure.unsure and not tool.read_only
    if unsure:
        text += " It is not known whether it has done what it was called for."
    # What nobody knows the end of is made again only when that changes nothing more.
    retryable = failure.retryable and (not unsure or tool.idempotent)
    return failed(failure.reason, text, retryable=retryable, untrusted=untrusted and bool(error.text))
