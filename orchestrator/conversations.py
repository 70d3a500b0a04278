"""What a caller may do with a conversation beside speaking in it: look back, and forget it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from agents.history import CheckpointView
from orchestrator.turns import OnBusy, Turns
from state.errors import ConversationBusyError
from state.models import ConversationId, Owner, ThreadId
from state.ports import ConversationStore, RunStore
from state.threads import thread_id

History = Callable[[Owner, ThreadId, str, int], Awaitable[list[CheckpointView]]]
"""Up to so many checkpoints of a thread before one of them, the newest first."""

_SILENT = 3600.0


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """Some checkpoints, the newest first. `next_before` is empty on the last page; the first `has_head`."""

    checkpoints: list[CheckpointView]
    next_before: str
    has_head: bool


class ConversationService:
    """`delete_seconds`: how long the end of a conversation's active runs is waited for."""

    def __init__(
        self,
        conversations: ConversationStore,
        runs: RunStore,
        turns: Turns,
        history: History,
        *,
        delete_seconds: float,
    ) -> None:
        self._conversations = conversations
        self._runs = runs
        self._turns = turns
        self._history = history
        self._delete_seconds = delete_seconds

    async def checkpoints(
        self, owner: Owner, conversation_id: ConversationId, *, before: str, size: int
    ) -> CheckpointPage:
        """One page.

        Raises:
            NotFoundError: No such conversation of this owner.
        """
        found = await self._history(owner, thread_id(owner, conversation_id), before, size + 1)
        if not found and not before:
            await self._runs.latest(owner, conversation_id)  # it may have runs, and no turn yet
        page = found[:size]
        return CheckpointPage(page, page[-1].checkpoint_id if len(found) > size else "", has_head=not before)

    async def delete(self, owner: Owner, conversation_id: ConversationId) -> int:
        """Cancel what is active, then delete every trace; returns how many runs there were.

        Raises:
            NotFoundError: No such conversation of this owner.
            ConversationBusyError: A run did not end in time; nothing was deleted.
        """
        until = monotonic() + self._delete_seconds
        while True:
            try:
                return await self._conversations.delete(owner, conversation_id)
            except ConversationBusyError as busy:
                ended = self._turns.until_free(
                    owner, busy, OnBusy.INTERRUPT, until=until, idle_seconds=_SILENT
                )
                async for _ in ended:
                    pass
