"""The chat use case: begin a run for a user's turn, and take up one that was left."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from time import monotonic
from uuid import uuid4

from agents.loader import AgentCatalog
from agents.runner import AgentRunner
from agents.spec import AgentSpec
from agents.turn import Emit, TurnResult
from orchestrator.chat import Began, Chat, ChatCommand, Reading
from orchestrator.events import AttemptBegan, RunEvent, StatusChanged
from orchestrator.execution import Work
from orchestrator.line import Line
from orchestrator.room import Room
from orchestrator.supervisor import RunSupervisor
from orchestrator.turns import OnBusy, Turns
from providers.gate.base import Saturated, SaturatedBy
from providers.pool.admission import Admitted, Refusal, error_of
from providers.pool.choice import ClassChoice, key_of
from providers.pool.model import PooledModel
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunBudget, RunCaps
from state.errors import CancelledRunError, ConversationNotEmptyError, DrainingError, PreconditionViolation
from state.event_log import EventLog
from state.models import Attempt, ClaimedRun, ConversationId, NewRun, RunId, RunKind, RunState
from state.ports import BranchStore
from state.threads import RunThread, thread_id

_LOOK_SECONDS = 1.0
"""How often somebody in line is told where it stands."""


class ChatService:
    """Answers user turns.

    `heartbeat_seconds`: how long a stream is silent before it shows that it lives. `max_wait_seconds`: how
    long a turn waits for the one before it. `decode` reads a kept request again, `unfinished_text` finds the
    first text of a log that no finished model call stands behind.
    """

    def __init__(
        self,
        catalog: AgentCatalog,
        runner: AgentRunner,
        supervisor: RunSupervisor,
        log: EventLog,
        *,
        models: ModelPool,
        caps: RunCaps,
        line: Line,
        turns: Turns,
        branches: BranchStore,
        heartbeat_seconds: float,
        max_wait_seconds: float,
        decode: Callable[[bytes], ChatCommand],
        unfinished_text: Callable[[Iterable[bytes]], int | None],
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._catalog = catalog
        self._runner = runner
        self._supervisor = supervisor
        self._log = log
        self._models = models
        self._caps = caps
        self._room = Room(models)
        self._line = line
        self._turns = turns
        self._branches = branches
        self._heartbeat_seconds = heartbeat_seconds
        self._max_wait_seconds = max_wait_seconds
        self._decode = decode
        self._unfinished_text = unfinished_text
        self._new_id = new_id

    async def begin(self, command: ChatCommand) -> Chat:
        """Start the run and return once it is committed, or has to wait for the one before it.

        In a new conversation the model is being called then; in another one it is called from then on.

        Raises:
            InvalidRequestError: No such agent, or no such model.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
            ConversationBusyError: Another run of the conversation is active, and the turn will not wait.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        spec, routing_reason = self._catalog.resolve(command.agent_type)
        choice = command.model or ClassChoice(spec.model_class)
        self._models.info(choice)
        await self._check_base(command)
        run = NewRun(
            run_id=RunId(self._new_id()),
            owner=command.owner,
            kind=RunKind.CHAT,
            conversation_id=command.conversation_id or ConversationId(self._new_id()),
            agent_name=spec.name,
            request=command.request,
            survives=command.continue_on_disconnect,
            wants=key_of(choice),
        )
        idle = command.heartbeat_seconds or self._heartbeat_seconds
        wait = command.max_wait_seconds or self._max_wait_seconds
        until_free = partial(
            self._turns.until_free,
            run.owner,
            on_busy=command.on_busy,
            until=monotonic() + wait,
            idle_seconds=idle,
        )
        metadata = {"conversation_id": run.conversation_id, "routing_reason": routing_reason}

        async def begin() -> Began:
            admitted = self._admit(run)
            if isinstance(admitted, Admitted):
                return await self._answer_now(run, command, spec, metadata, admitted, idle_seconds=idle)
            if not command.waits:
                raise error_of(admitted)
            await self._line.join(run, StatusChanged(RunState.QUEUED, "Waiting", metadata), wait)
            return Began(self._line_up(run, idle), partial(self._line.leave, run.owner, run.run_id))

        chat = Chat(run, begin, None if command.on_busy is OnBusy.REJECT else until_free)
        await chat.begin()
        return chat

    def _admit(self, run: NewRun) -> Admitted | Refusal:
        """Room at a provider, unless somebody waits for it already."""
        if self._line.draining:
            raise DrainingError("the server is stopping")
        if self._line.is_waited_for(run.wants):
            return Saturated(SaturatedBy.CONCURRENCY)
        return self._room.admit(run.wants)

    async def _answer_now(
        self,
        run: NewRun,
        command: ChatCommand,
        spec: AgentSpec,
        metadata: Mapping[str, str],
        admitted: Admitted,
        *,
        idle_seconds: float,
    ) -> Began:
        status = StatusChanged(RunState.RUNNING, "Answering", metadata)
        work = self._work(lambda: spec, command, run.run_id, run.conversation_id, admitted)
        execution = self._supervisor.begin(
            run, status, work, window_seconds=command.window_seconds, ended=admitted.abandon
        )
        records = self._log.read(run.owner, run.run_id, idle_seconds=idle_seconds)
        leave = partial(execution.stop, CancelledRunError("the caller left"))
        try:
            await execution.attempt()
        except asyncio.CancelledError:
            if not run.survives:
                leave()
            raise
        return Began(records, leave)

    async def _line_up(self, run: NewRun, idle_seconds: float) -> Reading:
        """The run's log; while it is in line, its place whenever that has changed."""
        shown, beat = 0, monotonic() + idle_seconds
        look = min(idle_seconds, _LOOK_SECONDS)
        log = self._log.read(run.owner, run.run_id, idle_seconds=look)
        with self._line.watching(run.run_id, run.wants):
            async with aclosing(log) as records:
                async for record in records:
                    place = self._line.place(run.run_id)
                    if record is None and self._line.draining:
                        raise DrainingError("the server is stopping")
                    if record is None and place is not None and place.position != shown:
                        shown = place.position
                        yield place
                    elif record is not None or monotonic() >= beat:
                        yield record
                    else:
                        continue
                    beat = monotonic() + idle_seconds

    async def take_up(self, claimed: ClaimedRun, admitted: Admitted) -> None:
        """Begin a run that was in line, or go on with one that another process, or this one, has left."""
        attempt = claimed.attempt
        try:
            log = await self._log.stored(attempt.owner, attempt.run_id)
            command = self._decode(claimed.request)
        except BaseException:
            admitted.abandon()
            raise
        shown = self._unfinished_text(record.payload for record in log)
        again = attempt.number > 1
        begins: RunEvent = StatusChanged(RunState.RUNNING, "Answering again" if again else "Answering")
        if shown is not None:
            begins = AttemptBegan(attempt.number, shown)

        def spec() -> AgentSpec:
            return self._catalog.resolve(claimed.agent_name)[0]  # gone meanwhile: then the run fails

        work = self._work(spec, command, attempt.run_id, claimed.conversation_id, admitted, again=again)
        self._supervisor.take_up(claimed, begins, work, admitted.abandon)

    def _work(
        self,
        spec: Callable[[], AgentSpec],
        command: ChatCommand,
        run_id: RunId,
        conversation: ConversationId,
        admitted: Admitted,
        *,
        again: bool = False,
    ) -> Work:
        owner, base = command.owner, command.base_checkpoint_id
        new = not command.conversation_id and not base and not again

        async def work(emit: Emit, attempt: Callable[[], Awaitable[Attempt]]) -> TurnResult:
            own = thread_id(owner, conversation)
            thread = RunThread(owner, run_id, own, attempt, new=new, again=again, base=base)
            if base and (source := await self._branches.find(owner, base, own)) != own:
                await self._branches.copy(await attempt(), source, base, own)
            agent = spec()
            model = PooledModel(
                self._models,
                command.model or ClassChoice(agent.model_class),
                admitted=admitted,
                budget=RunBudget(self._caps),
            )
            return await self._runner.run(agent, command.turn, thread, emit, model)

        return work

    async def _check_base(self, command: ChatCommand) -> None:
        if not command.base_checkpoint_id:
            return
        own = thread_id(command.owner, command.conversation_id)
        source = await self._branches.find(command.owner, command.base_checkpoint_id, own)
        if command.conversation_id and source != own and not await self._branches.is_empty(own):
            must = PreconditionViolation("CONVERSATION", "conversation_id", "must be new or without a turn")
            raise ConversationNotEmptyError("the conversation has turns of its own", must)
