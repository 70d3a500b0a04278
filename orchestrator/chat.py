"""A user's turn: as it was accepted, and as the call that brought it sees it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.assignment import Assignment
from orchestrator.reading import Reading
from orchestrator.turns import OnBusy
from state.errors import ConversationBusyError, SameRequestError
from state.models import NewRun, Record, RequestKey, Run, RunId


class OnSaturated(StrEnum):
    """What a turn wants for which no provider has room."""

    WAIT = "wait"
    FAIL = "fail"
    START_TASK = "start_task"


@dataclass(frozen=True, slots=True)
class Began:
    """A turn that was committed: what is to be read, and what to do when nobody reads it any more."""

    records: Reading
    leave: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """One user turn, as accepted.

    `seconds_left`: what is left of its caller's deadline, if there is one that counts. `heartbeat_seconds`
    and `max_wait_seconds` None = the server's own.
    """

    assignment: Assignment
    continue_on_disconnect: bool = False
    on_busy: OnBusy = OnBusy.REJECT
    on_saturated: OnSaturated = OnSaturated.WAIT
    key: RequestKey | None = None
    seconds_left: float | None = None
    max_wait_seconds: float | None = None
    heartbeat_seconds: float | None = None


class Chat:
    """A user's turn that was accepted, seen from the call that brought it."""

    def __init__(
        self,
        run: NewRun | Run,
        begin: Callable[[], Awaitable[Began]],
        until_free: Callable[[ConversationBusyError], AsyncGenerator[None]] | None = None,
        attach: Callable[[RunId], Awaitable[Began]] | None = None,
        *,
        waits: Callable[[RunId], Awaitable[bool]],
    ) -> None:
        self.run = run
        self._begin = begin
        self._until_free = until_free
        self._attach = attach
        self._waits = waits
        self._began: Began | None = None
        self._busy: ConversationBusyError | None = None
        self._has_ended = False

    async def begin(self) -> None:
        """Return when the run is committed, or has to wait for the one before it.

        Raises:
            ConversationBusyError: It has to, and does not want to.
            ProviderError: No provider has room, and it does not want to wait.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        try:
            self._began = await self._begin()
        except ConversationBusyError as busy:
            if self._until_free is None:
                raise
            self._busy = busy

    async def read(self) -> Reading:
        """The run's log from its start to its terminal record, once.

        Raises:
            As `begin` does, should the run have had to wait.
        """
        while self._busy and self._until_free:
            async with aclosing(self._until_free(self._busy)) as waiting:
                async for beat in waiting:
                    yield beat
            self._busy = None
            try:
                await self.begin()
            except SameRequestError as same:  # the same call has waited beside this one, and came first
                assert self._attach is not None
                self._began = await self._attach(same.run_id)
        assert self._began is not None
        async with aclosing(self._began.records) as records:
            async for record in records:
                self._has_ended = isinstance(record, Record) and record.terminal
                yield record

    async def suspended(self) -> bool:
        """Whether the run waits for a person: then it goes on without its caller."""
        waits = await self._waits(self.run.run_id)
        self._has_ended = self._has_ended or waits
        return waits

    def leave(self) -> None:
        """The caller is gone. Stops the run unless it has ended, or was asked to continue."""
        if self._began is not None and not self._has_ended:
            self._began.leave()
