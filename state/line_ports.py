"""What the line of waiting runs needs from storage."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Protocol

from state.models import ClaimedRun, Joining, NewRun, Record, RunId, RunOutcome, UnattendedRun
from state.tasks import LineLoad


class LineStore(Protocol):
    """The runs that wait for a provider. Every method raises DatabaseUnavailableError when
    Postgres is away.
    """

    async def join(
        self, run: NewRun, joining: Joining, first: Sequence[Record], check: Callable[[int], None]
    ) -> int:
        """Commit a run as QUEUED, together with the first records of its log; returns its place.

        `check` gets the place before that, and what it raises leaves nothing written.

        Raises:
            ConversationBusyError: Another run of the conversation is active; nothing was written.
            QueueFullError: So many wait or run that nobody may join; nothing was written.
            SameRequestError, RequestKeyReusedError: Another run has its key; nothing was written.
        """
        ...

    async def load(self, high: int) -> LineLoad:
        """How full the line is, over all replicas, counted up to `high`."""
        ...

    async def accept_again(self, low: int) -> None:
        """Let runs join again once fewer than `low` wait or run, though nobody tries to."""
        ...

    async def is_quiet(self) -> bool:
        """Whether nobody is in line, and nobody is kept from joining: so it is nearly always."""
        ...

    async def wanted(self) -> Collection[str]:
        """What the runs in line want, each kind once."""
        ...

    async def claim(self, wants: Set[str]) -> ClaimedRun | None:
        """Take the first run that may begin and wants one of these, none in quarantine; None: no such."""
        ...

    async def quarantined(self, patience_seconds: float, lease_seconds: float) -> Mapping[str, bool]:
        """What the quarantined runs in line want, those that processes have died of.

        True where one has waited for longer than the patience and this process is to make room for it: the
        first by its id of all that have said within the lease that they live.
        """
        ...

    async def claim_quarantined(self, wants: str) -> ClaimedRun | None:
        """Take the first quarantined run that wants this, with a new attempt; None: there is none."""
        ...

    async def places(self, run_ids: Collection[RunId]) -> Mapping[RunId, int]:
        """Where those of these runs stand that are in line; 1 is next."""
        ...

    async def end_overdue(self, end: Callable[[UnattendedRun], tuple[RunOutcome, Record]]) -> int:
        """End what has waited too long as `end` says; returns how many runs that were."""
        ...
