"""The chat use case: a run for a user's turn, at once or from the line."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from time import monotonic

from orchestrator.budgets import Budgets
from orchestrator.chat import Began, Chat, ChatCommand, Reading
from orchestrator.events import StatusChanged
from orchestrator.line import Line
from orchestrator.room import Room
from orchestrator.supervisor import RunSupervisor
from orchestrator.turns import OnBusy, Turns
from orchestrator.workshop import Plan, Workshop
from providers.pool.admission import Admitted, error_of
from state.errors import DrainingError
from state.event_log import EventLog
from state.models import NewRun, RunKind, RunState

_LOOK_SECONDS = 1.0
"""How often somebody in line is told where it stands."""


@dataclass(frozen=True, slots=True)
class ChatTimes:
    """In seconds, where a request says nothing else.

    `heartbeat_seconds`: how long a stream is silent before it shows that it lives. `max_wait_seconds`: how
    long a turn waits for the one before it, and for room at a provider.
    """

    heartbeat_seconds: float
    max_wait_seconds: float


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn that is about to begin."""

    command: ChatCommand
    plan: Plan
    run: NewRun
    idle_seconds: float

    def status(self, state: RunState, text: str) -> StatusChanged:
        metadata = {
            "conversation_id": self.run.conversation_id,
            "routing_reason": self.plan.routing_reason,
        }
        return StatusChanged(state, text, metadata)


class ChatService:
    """Answers user turns."""

    def __init__(
        self,
        workshop: Workshop,
        supervisor: RunSupervisor,
        log: EventLog,
        *,
        room: Room,
        line: Line,
        turns: Turns,
        budgets: Budgets,
        times: ChatTimes,
    ) -> None:
        self._workshop = workshop
        self._supervisor = supervisor
        self._log = log
        self._room = room
        self._line = line
        self._turns = turns
        self._budgets = budgets
        self._times = times

    async def begin(self, command: ChatCommand) -> Chat:
        """Start the run and return once it is committed, or has to wait for the one before it.

        In a new conversation the model is being called then; in another one it is called from then on.

        Raises:
            InvalidRequestError: No such agent, or no such model.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
            QuotaExceededError: The user has used up the day's budget.
            ConversationBusyError: Another run of the conversation is active, and the turn will not wait.
            ProviderError: No provider has room, and the turn will not wait, or waiting would be in vain.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        plan = await self._workshop.plan(command.assignment)
        await self._budgets.check(command.assignment.owner)
        wait = command.max_wait_seconds or self._times.max_wait_seconds
        run = self._workshop.run_of(
            plan, RunKind.CHAT, survives=command.continue_on_disconnect, wait_seconds=wait
        )
        idle = command.heartbeat_seconds or self._times.heartbeat_seconds
        until_free = partial(
            self._turns.until_free,
            run.owner,
            on_busy=command.on_busy,
            until=monotonic() + wait,
            idle_seconds=idle,
        )
        chat = Chat(
            run,
            partial(self._begin, _Turn(command, plan, run, idle)),
            None if command.on_busy is OnBusy.REJECT else until_free,
        )
        await chat.begin()
        return chat

    async def _begin(self, turn: _Turn) -> Began:
        if self._line.draining:
            raise DrainingError("the server is stopping")
        # Whoever is in line already goes first, even when there is room.
        admitted = self._room.admit(turn.run.wants, waited_for=self._line.is_waited_for(turn.run.wants))
        if isinstance(admitted, Admitted):
            return await self._answer_now(turn, admitted)
        if not turn.command.assignment.waits:
            raise error_of(admitted)
        waiting = turn.status(RunState.QUEUED, "Waiting")
        await self._line.join(turn.run, waiting, seconds_left=turn.command.seconds_left)
        return Began(self._read(turn), partial(self._leave, turn.run))

    async def _answer_now(self, turn: _Turn, admitted: Admitted) -> Began:
        run, assignment = turn.run, turn.command.assignment
        execution = self._supervisor.begin(
            run,
            turn.status(RunState.RUNNING, "Answering"),
            self._workshop.work(turn.plan, run, admitted),
            waits=assignment.waits,
            window_seconds=assignment.window_seconds,
            ended=admitted.abandon,
        )
        records, leave = self._read(turn), partial(self._leave, run)
        try:
            await execution.attempt()
        except asyncio.CancelledError:
            if not run.survives:
                leave()
            raise
        return Began(records, leave)

    def _leave(self, run: NewRun) -> None:
        """Nobody reads it any more. It may be in line, or elsewhere: then the line sees to it."""
        if not self._supervisor.abandon(run.run_id):
            self._line.leave(run.owner, run.run_id)

    async def _read(self, turn: _Turn) -> Reading:
        """The run's log; while it is in line, its place whenever that has changed."""
        run, idle, places = turn.run, turn.idle_seconds, self._line.places
        shown, beat = 0, monotonic() + idle
        log = self._log.read(run.owner, run.run_id, idle_seconds=min(idle, _LOOK_SECONDS))
        with places.watching(run.run_id, run.wants):
            async with aclosing(log) as records:
                async for record in records:
                    place = places.place(run.run_id)
                    if record is None and place is not None and self._line.draining:
                        raise DrainingError("the server is stopping")
                    if record is None and place is not None and place.position != shown:
                        shown = place.position
                        yield place
                    elif record is not None or monotonic() >= beat:
                        yield record
                    else:
                        continue
                    beat = monotonic() + idle
