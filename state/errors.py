"""Errors the service raises on purpose.

`reason` is the machine-readable half and the only part the transport maps. Message, details and metadata are
shown to callers: never format a secret, a prompt, a row or another exception's text into them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from state.models import RunId
from state.violations import Detail, FieldViolation

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Reason(StrEnum):
    """Why a call or a run failed, in terms a caller can act on. Stable: clients branch on it."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"
    NOT_FOUND = "NOT_FOUND"
    SEQUENCE_OUT_OF_RANGE = "SEQUENCE_OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    CONVERSATION_BUSY = "CONVERSATION_BUSY"
    CONVERSATION_NOT_EMPTY = "CONVERSATION_NOT_EMPTY"
    REQUEST_ID_REUSED = "IDEMPOTENCY_KEY_REUSED"
    REJECTED_AT_DRAIN = "REJECTED_AT_DRAIN"
    WRONG_STATE = "WRONG_STATE"
    QUEUE_FULL = "QUEUE_FULL"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    QUOTA = "QUOTA"
    OVERLOADED = "OVERLOADED"
    SLOW_READER = "SLOW_READER"
    DRAINING = "DRAINING"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    WORKER_LOST = "WORKER_LOST"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_SATURATED = "PROVIDER_SATURATED"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    PROVIDER_BROKEN = "PROVIDER_BROKEN"
    AGENT_FAILED = "AGENT_FAILED"
    INTERNAL = "INTERNAL"


class OrchestratorError(Exception):
    """Base of every error raised on purpose by this service.

    `retry_after`: seconds after which the same request may succeed; None when waiting does not help.
    `retry_after_told`: the same as whoever refused said it; None where `retry_after` is only the default.
    `metadata`: every value that stands in the message, by name, for programs.
    """

    reason: ClassVar[Reason] = Reason.INTERNAL
    default_retry_after: ClassVar[float | None] = None

    def __init__(
        self,
        message: str,
        *details: Detail,
        retry_after: float | None = None,
        metadata: Mapping[str, str] = _NOTHING,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.retry_after_told = retry_after
        self.metadata = metadata


class InvalidRequestError(OrchestratorError):
    """The caller must change the request before trying again."""

    reason = Reason.INVALID_REQUEST

    def __init__(self, *violations: FieldViolation, message: str = "") -> None:
        super().__init__(message or "; ".join(f"{v.field}: {v.description}" for v in violations), *violations)
        self.violations = violations


class UnauthenticatedError(OrchestratorError):
    """Nobody knows who calls: no credentials, or bad ones."""

    reason = Reason.UNAUTHENTICATED


class PermissionDeniedError(OrchestratorError):
    """The caller is known, and may not do this."""

    reason = Reason.PERMISSION_DENIED


class IdentityUnavailableError(OrchestratorError):
    """What credentials are checked with cannot be had yet."""

    reason = Reason.IDENTITY_UNAVAILABLE
    default_retry_after = 2.0


class NotFoundError(OrchestratorError):
    """The named resource does not exist, or belongs to somebody else."""

    reason = Reason.NOT_FOUND


class SequenceOutOfRangeError(OrchestratorError):
    """A reader asks for what comes after a sequence that the log has not reached."""

    reason = Reason.SEQUENCE_OUT_OF_RANGE


class UnimplementedError(OrchestratorError):
    """The contract has this, this release has not."""

    reason = Reason.UNIMPLEMENTED


class ConversationBusyError(OrchestratorError):
    """Another run of the conversation is active. `run_id`: which."""

    reason = Reason.CONVERSATION_BUSY

    def __init__(
        self, run_id: str = "", *, message: str = "another run of this conversation is active"
    ) -> None:
        super().__init__(message, metadata={"run_id": run_id})
        self.run_id = RunId(run_id)


class ConversationNotEmptyError(OrchestratorError):
    """Another conversation's checkpoint can be the beginning of a conversation, and of nothing later."""

    reason = Reason.CONVERSATION_NOT_EMPTY


class RequestKeyReusedError(OrchestratorError):
    """The request's id was used before, for something else."""

    reason = Reason.REQUEST_ID_REUSED


class WrongStateError(OrchestratorError):
    """The run is in no state in which this can be done."""

    reason = Reason.WRONG_STATE


class NotPermittedError(OrchestratorError):
    """Nobody has allowed this call, or what was allowed is another one."""

    reason = Reason.WRONG_STATE


class QueueFullError(OrchestratorError):
    """So many runs wait or run that no further one may wait."""

    reason = Reason.QUEUE_FULL
    default_retry_after = 5.0


class SameRequestError(OrchestratorError):
    """The same request was accepted before, as `run_id`: no failure, and never shown to a caller."""

    def __init__(self, run_id: RunId) -> None:
        super().__init__("the same request was accepted before", metadata={"run_id": run_id})
        self.run_id = run_id


class RejectedAtDrainError(OrchestratorError):
    """Accepted while Postgres was away; when it was back, the request's id was another run's."""

    reason = Reason.REJECTED_AT_DRAIN


class CancelledRunError(OrchestratorError):
    """The run was cancelled."""

    reason = Reason.CANCELLED


class DeadlineExceededError(OrchestratorError):
    """The caller's deadline, or the server's own limit of time, has passed."""

    reason = Reason.DEADLINE_EXCEEDED


class QuotaExceededError(OrchestratorError):
    """One user has as much going on, or has used as much, as one user may."""

    reason = Reason.QUOTA
    default_retry_after = 1.0


class OverloadedError(OrchestratorError):
    """The process has as much going on as it can carry; another replica may have room."""

    reason = Reason.OVERLOADED
    default_retry_after = 1.0


class SlowReaderError(OrchestratorError):
    """The caller took too long to read its stream."""

    reason = Reason.SLOW_READER


class DrainingError(OrchestratorError):
    """This process is stopping; another one will take the call."""

    reason = Reason.DRAINING
    default_retry_after = 1.0


class DatabaseUnavailableError(OrchestratorError):
    """Postgres cannot be reached; nothing was accepted."""

    reason = Reason.DATABASE_UNAVAILABLE
    default_retry_after = 2.0


class SpoolUnavailableError(DatabaseUnavailableError):
    """Nor can the outage journal take the task: it is full, or its disk fails."""


class LostAttemptError(OrchestratorError):
    """Another attempt owns the run now: this one may write nothing more."""

    reason = Reason.WORKER_LOST
    default_retry_after = 1.0


class AgentFailedError(OrchestratorError):
    """The code of a caller's own graph failed: trying again may, or may not, help."""

    reason = Reason.AGENT_FAILED


class StateUnreadableError(OrchestratorError):
    """The bytes of a conversation's state are none that this service writes: nothing was made of them."""


class ProviderError(OrchestratorError):
    """A model provider failed."""


class ProviderUnavailableError(ProviderError):
    """The provider cannot be reached, answers 5xx, or sent no first token in time."""

    reason = Reason.PROVIDER_UNAVAILABLE
    default_retry_after = 5.0


class ProviderSaturatedError(ProviderError):
    """The provider is up but has no room now (429, 529)."""

    reason = Reason.PROVIDER_SATURATED
    default_retry_after = 5.0


class ProviderRejectedError(ProviderError):
    """The provider refuses this request or this key (400, 401, 403, 404, 422): trying again cannot help."""

    reason = Reason.PROVIDER_REJECTED


class ProviderBrokenError(ProviderError):
    """The provider's stream broke after its first token, or was not in its protocol."""

    reason = Reason.PROVIDER_BROKEN
    default_retry_after: ClassVar[float | None] = 1.0


class JudgementUnfitError(ProviderBrokenError):
    """An answer without the form that it had to have; asking again until one fits would be choosing."""

    default_retry_after = None
