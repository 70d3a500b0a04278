"""The chat use case: a run for a user's turn, at once or from the line."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from orchestrator.budgets import Budgets
from orchestrator.chat import Began, Chat, ChatCommand, OnSaturated
from orchestrator.events import StatusChanged
from orchestrator.line import Line
from orchestrator.reading import BecameTask, Reading, RunReader
from orchestrator.supervisor import RunSupervisor
from orchestrator.turns import OnBusy, Turns
from orchestrator.workshop import Plan, Workshop
from providers.pool.admission import Admitted, error_of
from state.errors import SameRequestError
from state.models import NewRun, Owner, RunId, RunKind, RunState
from state.ports import RequestKeyStore, RunStore


@dataclass(frozen=True, slots=True)
class ChatTimes:
    """In seconds, where a request says nothing else.

    `heartbeat_seconds`: how long a stream is silent before it shows that it lives. `max_wait_seconds`: how
    long a turn waits for the one before it, and for room at a provider. `queue_seconds`: the same, of one
    that has become a task.
    """

    heartbeat_seconds: float
    max_wait_seconds: float
    queue_seconds: float


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
        reader: RunReader,
        *,
        keys: RequestKeyStore,
        runs: RunStore,
        line: Line,
        turns: Turns,
        budgets: Budgets,
        times: ChatTimes,
    ) -> None:
        self._workshop = workshop
        self._supervisor = supervisor
        self._reader = reader
        self._keys = keys
        self._runs = runs
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
            RequestKeyReusedError: Its key was used for something else.
            QueueFullError: No provider has room, and too many wait.
            ProviderError: No provider has room, and the turn will not wait, or waiting would be in vain.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        try:
            return await self._begin_new(command)
        except SameRequestError as same:
            return await self._attached(command, same.run_id)

    async def _attached(self, command: ChatCommand, run_id: RunId) -> Chat:
        """The turn that an earlier call with the same key has begun, from its start."""
        run = await self._runs.get(command.assignment.owner, run_id)
        idle = command.heartbeat_seconds or self._times.heartbeat_seconds
        chat = Chat(
            run, partial(self._read_again, run.owner, run_id, idle), waits=partial(self._waits, run.owner)
        )
        await chat.begin()
        return chat

    async def _waits(self, owner: Owner, run_id: RunId) -> bool:
        return (await self._runs.get(owner, run_id)).state is RunState.WAITING_FOR_PERMISSION

    async def _read_again(self, owner: Owner, run_id: RunId, idle_seconds: float) -> Began:
        run = await self._runs.get(owner, run_id)
        ended = run.state.is_terminal
        return Began(self._reader.read(run, idle_seconds=idle_seconds, ended=ended), _nothing)

    async def _begin_new(self, command: ChatCommand) -> Chat:
        if command.key is not None:
            await self._keys.check(command.assignment.owner, command.key)
        plan = await self._workshop.plan(command.assignment)
        await self._budgets.check(command.assignment.owner)
        wait = command.max_wait_seconds or self._times.max_wait_seconds
        run = self._workshop.run_of(
            plan, RunKind.CHAT, survives=command.continue_on_disconnect, wait_seconds=wait, key=command.key
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
            lambda run_id: self._read_again(run.owner, run_id, idle),
            waits=partial(self._waits, run.owner),
        )
        await chat.begin()
        return chat

    async def _begin(self, turn: _Turn) -> Began:
        run, on_saturated = turn.run, turn.command.on_saturated
        admitted = self._line.admit(run.wants)
        if isinstance(admitted, Admitted):
            return await self._answer_now(turn, admitted)
        if on_saturated is OnSaturated.FAIL:
            raise error_of(admitted)
        waiting = turn.status(RunState.QUEUED, "Waiting")
        if on_saturated is OnSaturated.START_TASK:
            task = replace(run, kind=RunKind.TASK, survives=True, wait_seconds=self._times.queue_seconds)
            await self._line.join(task, waiting)
            return Began(_became_task(task), _nothing)
        await self._line.join(run, waiting, seconds_left=turn.command.seconds_left)
        return Began(self._reader.read(run, idle_seconds=turn.idle_seconds), partial(self._leave, run))

    async def _answer_now(self, turn: _Turn, admitted: Admitted) -> Began:
        run, assignment = turn.run, turn.command.assignment
        execution = self._supervisor.begin(
            run,
            [turn.status(RunState.RUNNING, "Answering"), *turn.plan.introduction],
            self._workshop.work(turn.plan, run, admitted),
            waits=assignment.waits,
            permission_seconds=assignment.permission_seconds,
            window_seconds=assignment.window_seconds,
            ended=admitted.abandon,
        )
        records = self._reader.read(run, idle_seconds=turn.idle_seconds)
        leave = partial(self._leave, run)
        try:
            await execution.attempt()
        except asyncio.CancelledError:
            leave()
            raise
        return Began(records, leave)

    def _leave(self, run: NewRun) -> None:
        """Nobody reads it any more. It may be in line, or elsewhere: then the line sees to it."""
        if run.survives:
            return
        if not self._supervisor.abandon(run.run_id):
            self._line.leave(run.owner, run.run_id)


def _nothing() -> None:
    """What is to be done when nobody reads a run any more that others have to care for."""


async def _became_task(run: NewRun) -> Reading:
    yield BecameTask(run.run_id)
