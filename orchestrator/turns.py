"""One run at a time in a conversation: what a turn does that finds another one there."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from time import monotonic

from state.errors import ConversationBusyError, NotFoundError
from state.event_log import EventLog
from state.models import Owner, Record, RunId
from state.ports import RunStore


class OnBusy(StrEnum):
    """What a turn wants then."""

    REJECT = "reject"
    WAIT = "wait"
    INTERRUPT = "interrupt"


class Turns:
    """Lets a turn wait for the run before it. Several that wait begin in no promised order."""

    def __init__(
        self, runs: RunStore, log: EventLog, cancel: Callable[[Owner, RunId], Awaitable[None]]
    ) -> None:
        self._runs = runs
        self._log = log
        self._cancel = cancel

    async def until_free(
        self, owner: Owner, busy: ConversationBusyError, on_busy: OnBusy, *, until: float, idle_seconds: float
    ) -> AsyncGenerator[None]:
        """End when the run that holds the conversation has ended; yield whenever a heartbeat is due.

        `until` is a time of `time.monotonic`.

        Raises:
            ConversationBusyError: It has waited long enough.
        """
        try:
            if on_busy is OnBusy.INTERRUPT:
                await self._cancel(owner, busy.run_id)
            run = await self._runs.get(owner, busy.run_id)
        except NotFoundError:
            return  # deleted meanwhile
        # From one record before the last, so that there is one to be read even when the run has ended.
        position, beat = max(0, run.last_sequence - 1), monotonic() + idle_seconds
        while (now := monotonic()) < until:
            if now >= beat:
                yield None
                beat = now + idle_seconds
            record = await self._next(owner, busy.run_id, position, min(until, beat) - now)
            if record is not None and record.terminal:
                return
            position = record.sequence if record else position
        raise busy

    async def _next(self, owner: Owner, run_id: RunId, after: int, seconds: float) -> Record | None:
        """The next record of a run; None when none came for so long."""
        async with aclosing(self._log.read(owner, run_id, after, idle_seconds=seconds)) as records:
            return await anext(records)
