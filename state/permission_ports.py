"""What consent and the journal of effects need from storage. All raise DatabaseUnavailableError."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from state.effects import Effect, NewEffect
from state.models import (
    Attempt,
    ConversationId,
    Owner,
    Record,
    RequestKey,
    RunId,
    RunOutcome,
    UnattendedRun,
)
from state.permissions import Answer, Grants, Permission, PermissionFilter, Question
from state.usage import Usage

Resolved = Callable[[Permission, str, int], Record]
"""Makes the record that tells a run's readers of a decision, from it, the agent's name and its sequence."""

Ends = Callable[[UnattendedRun], tuple[RunOutcome, Record]]
"""How a run ends that nobody executes."""


class Suspension(Protocol):
    """Stopping a run for a person."""

    async def suspend(
        self,
        attempt: Attempt,
        questions: Sequence[Question],
        timeout_seconds: float,
        records: Sequence[Record],
        usage: Usage | None = None,
    ) -> None:
        """Commit the questions, the last records of the attempt and WAITING_FOR_PERMISSION, all or nothing.

        From then on the run survives its replica and its caller, and this attempt does not count. Repeated
        with the same records it changes nothing; there is at least one. Questions that are already written
        stay as they are; if none of them is pending any more, the run goes back to the line instead.

        Raises:
            LostAttemptError: Another attempt owns the run, or it has ended.
            CancelledRunError: It is being cancelled.
        """
        ...


class PermissionStore(Protocol):
    """Questions and what was decided."""

    async def get(self, owner: Owner, permission_id: str) -> Permission:
        """One of them.

        Raises:
            NotFoundError: No such permission of this owner.
        """
        ...

    async def match(self, owner: Owner, conversation_id: ConversationId, operation_type: str) -> Permission:
        """The one pending permission of this class in the conversation.

        Raises:
            NotFoundError: None is pending.
            WrongStateError: Several are.
        """
        ...

    async def list(
        self, owner: Owner, wanted: PermissionFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Permission]:
        """The newest first, from the one after (create time, id) on.

        What a newer turn has replaced is not pending.
        """
        ...

    async def repeated(self, owner: Owner, key: RequestKey) -> Permission | None:
        """What the same request decided before, as it stands; None = it is the first.

        Raises:
            RequestKeyReusedError: The key was used for another decision.
        """
        ...

    async def decide(
        self,
        owner: Owner,
        permission_id: str,
        answer: Answer,
        resolved: Resolved,
        key: RequestKey | None = None,
    ) -> tuple[Permission, bool]:
        """Commit a decision, its audit row and its record; the run goes on when it was the last one.

        Returns the permission as it stands then, and whether the same had been decided before. A key that was
        used for the same decision gives what that one decided. There is no record of what is taken back while
        the run is executed, or after its end.

        Raises:
            NotFoundError: No such permission of this owner.
            WrongStateError: It was decided otherwise, has expired, its run has ended or a newer turn has
                replaced it. The person has seen other arguments, the scope is not allowed, or nothing is
                to be revoked.
            RequestKeyReusedError: The key was used for another decision.
        """
        ...

    async def settle(self, resolved: Resolved, end: Ends) -> int:
        """Let expire what is due, and its runs go on; end the chats that a newer turn has replaced.

        Returns how many permissions that were. Of very many chats that wait each call looks at some.
        """
        ...

    async def decided(
        self, owner: Owner, run_id: RunId, permission_ids: Collection[str]
    ) -> Mapping[str, Permission]:
        """Those of these permissions that are no longer pending, by id."""
        ...

    async def standing(self, owner: Owner, conversation_id: ConversationId, run_id: RunId) -> Grants:
        """Which tools were approved beyond one call, for this run or its conversation, and not revoked."""
        ...


class EffectStore(Protocol):
    """The journal of effects."""

    async def begin(self, attempt: Attempt, effect: NewEffect) -> Effect:
        """Write down that a call is about to be made, or say what became of it in an earlier attempt.

        BEGUN only once for a `tool_call_id`, unless a further permission allows it again after it was cut.

        Raises:
            LostAttemptError: Another attempt owns the run.
            CancelledRunError: The run is being cancelled: it begins nothing more.
            NotPermittedError: The permission is not approved, or approves other arguments or another call.
        """
        ...

    async def finish(self, attempt: Attempt, tool_call_id: str, outcome: bytes) -> None:
        """Write down what came of it.

        Raises:
            LostAttemptError: Another attempt owns the run.
        """
        ...
