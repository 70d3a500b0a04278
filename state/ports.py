"""What the service needs from storage."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from state.models import (
    Attempt,
    ConversationId,
    NewRun,
    Owner,
    Record,
    RequestKey,
    Route,
    Run,
    RunId,
    RunOutcome,
    ThreadId,
    UnattendedRun,
)
from state.tasks import TaskFilter, TaskRow
from state.usage import Usage


class RunStore(Protocol):
    """Runs, each with its state. Every method raises DatabaseUnavailableError when Postgres is away."""

    async def begin(self, run: NewRun, first: Sequence[Record]) -> Attempt:
        """Commit a run as RUNNING in its first attempt, together with the first records of its log.

        Raises:
            ConversationBusyError: Another run of the conversation is active; nothing was written.
            SameRequestError, RequestKeyReusedError: Another run has its key; nothing was written.
        """
        ...

    async def finish(self, attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]) -> None:
        """Commit the terminal state and the last records of the log, in one transaction.

        Raises:
            LostAttemptError: Another attempt owns the run, or it has ended.
            CancelledRunError: It is being cancelled: no other outcome is taken any more.
        """
        ...

    async def cancel(
        self,
        owner: Owner,
        run_id: RunId,
        end: Callable[[UnattendedRun], tuple[RunOutcome, Record]],
        *,
        after_step: bool = False,
        left: bool = False,
    ) -> None:
        """Ask who executes the run to end it, or end it as `end` says when nobody does.

        `after_step`: what is being done may be done first. `left`: its caller has; a run that goes on without
        one is not touched.

        Raises:
            NotFoundError: No such run of this owner.
        """
        ...

    async def get(self, owner: Owner, run_id: RunId) -> Run:
        """The run as it stands.

        Raises:
            NotFoundError: No such run of this owner.
        """
        ...

    async def choose(self, attempt: Attempt, agent_name: str, route: Route, wants: str) -> None:
        """Write down who answers a run that began before that was known, and what a permit must serve now.

        Raises:
            CancelledRunError: The run is being cancelled.
            LostAttemptError: Another attempt owns the run, or it has ended.
        """
        ...

    async def requeue(self, attempt: Attempt, usage: Usage | None = None) -> None:
        """Put a run back in line, with what it has used: another replica, or this one, takes it up again.

        Raises:
            LostAttemptError: Another attempt owns the run, or it has ended.
        """
        ...

    async def defer(self, attempt: Attempt, seconds: float, usage: Usage | None = None) -> None:
        """Put a run back in line that no provider took: it waits on, for as long as it was going to.

        Nobody takes it up for so many `seconds`. This attempt does not count.

        Raises:
            LostAttemptError: Another attempt owns the run, or it has ended.
            CancelledRunError: It is being cancelled.
        """
        ...

    async def retry(self, attempt: Attempt, seconds: float, usage: Usage | None = None) -> None:
        """Put a run back in line whose attempt has failed; the rest as in `defer`, but that it counts."""
        ...

    async def latest(self, owner: Owner, conversation_id: ConversationId) -> Run:
        """The conversation's newest run.

        Raises:
            NotFoundError: No such conversation of this owner.
        """
        ...


class BranchStore(Protocol):
    """Earlier checkpoints to go on from. Every method raises DatabaseUnavailableError, as above."""

    async def find(self, owner: Owner, checkpoint_id: str, preferred: ThreadId) -> ThreadId:
        """The thread that holds a checkpoint, `preferred` if several do.

        Raises:
            NotFoundError: No such checkpoint of this owner.
        """
        ...

    async def is_empty(self, thread_id: ThreadId) -> bool:
        """Whether a thread has no checkpoint."""
        ...

    async def copy(self, attempt: Attempt, source: ThreadId, checkpoint_id: str, target: ThreadId) -> None:
        """Copy a checkpoint and what it stands on into an empty thread.

        Raises:
            LostAttemptError: Another attempt owns the run.
            ConversationNotEmptyError: The target has checkpoints of its own.
            NotFoundError: The checkpoint is gone.
        """
        ...


class ConversationStore(Protocol):
    """Conversations as a whole."""

    async def delete(self, owner: Owner, conversation_id: ConversationId) -> int:
        """Delete every trace of a conversation; returns how many runs there were.

        Raises:
            NotFoundError: No such conversation of this owner.
            ConversationBusyError: A run of it has not ended; nothing was deleted.
            DatabaseUnavailableError: Postgres is away.
        """
        ...


class TaskStore(Protocol):
    """Runs as those see them who ask about them. Every method raises DatabaseUnavailableError, as above."""

    async def get(self, owner: Owner, run_id: RunId) -> TaskRow:
        """One run, of whatever kind.

        Raises:
            NotFoundError: No such run of this owner.
        """
        ...

    async def list(
        self, owner: Owner, wanted: TaskFilter, *, after: tuple[datetime, RunId] | None, limit: int
    ) -> Sequence[TaskRow]:
        """The owner's tasks, the newest first, from the one after `after` on."""
        ...

    async def request(self, owner: Owner, run_id: RunId) -> bytes:
        """The request that began a run, as it was kept.

        Raises:
            NotFoundError: No such run of this owner.
        """
        ...


class RequestKeyStore(Protocol):
    """Which run a request began. Every method raises DatabaseUnavailableError, as above."""

    async def check(self, owner: Owner, key: RequestKey) -> None:
        """Return when no run has this key.

        Raises:
            SameRequestError: One has, and was asked for the same.
            RequestKeyReusedError: One has, and was asked for something else.
        """
        ...

    async def holder(self, owner: Owner, request_id: str) -> RunId:
        """The run that a request with this id began last, by whatever method.

        Raises:
            NotFoundError: There is none.
        """
        ...


class LeaseStore(Protocol):
    """Which replica executes what. Every method raises DatabaseUnavailableError when Postgres is away."""

    async def beat(self, lease_seconds: float) -> int:
        """Say that this replica lives; returns how many beat within so many seconds, this one among them."""
        ...

    async def leave(self) -> None:
        """Say that this replica has ended: what it still executes is nobody's."""
        ...

    async def reap(
        self,
        lease_seconds: float,
        executing: Collection[RunId],
        unborn: Collection[RunId],
        end: Callable[[UnattendedRun], tuple[RunOutcome, Record] | None],
    ) -> int:
        """Settle lost runs as `end` says; None puts a run back in line. Returns how many there were.

        Lost is what belongs to a replica silent for so long, and what is ours but not among `executing`; at
        once, what is among the `unborn`: of those it was not known whether they had been committed.
        """
        ...

    async def cancelling(self) -> Sequence[RunId]:
        """The runs of this replica that somebody wants to end."""
        ...


class EventStore(Protocol):
    """The stored part of every run's log."""

    async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool = False) -> None:
        """Commit records; they are durable when this returns. What is not urgent may wait to share a commit.

        Raises:
            LostAttemptError: Another attempt owns the run, or it has ended.
        """
        ...

    async def read(self, owner: Owner, run_id: RunId, after: int, limit: int) -> Sequence[Record]:
        """Up to `limit` records with a sequence greater than `after`, in order."""
        ...
