"""The chat use case: begin a run for a user's turn, and read its log."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from agents.loader import AgentCatalog
from agents.runner import AgentRunner
from agents.spec import AgentSpec
from agents.turn import Emit, Turn, TurnResult
from orchestrator.events import AttemptBegan, RunEvent, StatusChanged
from orchestrator.execution import RunExecution, RunIdentity, Work
from orchestrator.supervisor import RunSupervisor
from state.errors import CancelledRunError
from state.event_log import EventLog
from state.models import Attempt, ClaimedRun, ConversationId, NewRun, Owner, Record, RunId, RunKind, RunState
from state.threads import RunThread, thread_id


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """One user turn, as accepted.

    An empty `conversation_id` begins a new conversation. `request` is the request as it came, to be kept with
    the run. `window_seconds` and `heartbeat_seconds` None = the server's own.
    """

    owner: Owner
    conversation_id: ConversationId
    agent_type: str
    turn: Turn
    request: bytes
    continue_on_disconnect: bool = False
    window_seconds: float | None = None
    heartbeat_seconds: float | None = None


class Chat:
    """A chat run that has been accepted, seen from the call that began it."""

    def __init__(
        self, execution: RunExecution, records: AsyncGenerator[Record | None], *, continue_on_disconnect: bool
    ) -> None:
        self._execution = execution
        self._records = records
        self._continue_on_disconnect = continue_on_disconnect

    @property
    def run(self) -> RunIdentity:
        return self._execution.run

    def read(self) -> AsyncGenerator[Record | None]:
        """The run's log from its start to its terminal record, once; None when a heartbeat is due."""
        return self._records

    def leave(self) -> None:
        """The caller is gone. Stops the run unless it was asked to continue."""
        if not self._continue_on_disconnect:
            self._execution.stop(CancelledRunError("the caller left"))


class ChatService:
    """Answers user turns.

    `heartbeat_seconds`: how long a stream is silent before it shows that it lives. `decode` reads a kept
    request again, `unfinished_text` finds the first text of a log that no finished model call stands behind.
    """

    def __init__(
        self,
        catalog: AgentCatalog,
        runner: AgentRunner,
        supervisor: RunSupervisor,
        log: EventLog,
        *,
        heartbeat_seconds: float,
        decode: Callable[[bytes], ChatCommand],
        unfinished_text: Callable[[Iterable[bytes]], int | None],
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._catalog = catalog
        self._runner = runner
        self._supervisor = supervisor
        self._log = log
        self._heartbeat_seconds = heartbeat_seconds
        self._decode = decode
        self._unfinished_text = unfinished_text
        self._new_id = new_id

    async def begin(self, command: ChatCommand) -> Chat:
        """Start the run and return once it is committed; the model is already being called then.

        Raises:
            InvalidRequestError: No such agent.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        spec, routing_reason = self._catalog.resolve(command.agent_type)
        run = NewRun(
            run_id=RunId(self._new_id()),
            owner=command.owner,
            kind=RunKind.CHAT,
            conversation_id=command.conversation_id or ConversationId(self._new_id()),
            agent_name=spec.name,
            request=command.request,
            survives=command.continue_on_disconnect,
        )

        work = self._work(
            spec, command.turn, run.run_id, run.owner, run.conversation_id, new=not command.conversation_id
        )
        metadata = {"conversation_id": run.conversation_id, "routing_reason": routing_reason}
        status = StatusChanged(RunState.RUNNING, "Answering", metadata)
        execution = self._supervisor.begin(run, status, work, window_seconds=command.window_seconds)
        records = self._log.read(
            run.owner, run.run_id, idle_seconds=command.heartbeat_seconds or self._heartbeat_seconds
        )
        chat = Chat(execution, records, continue_on_disconnect=command.continue_on_disconnect)
        try:
            await execution.attempt()
        except asyncio.CancelledError:
            chat.leave()
            raise
        return chat

    async def take_up(self, claimed: ClaimedRun) -> None:
        """Go on with a run that another process, or this one, has left."""
        attempt = claimed.attempt
        command = self._decode(claimed.request)
        spec, _ = self._catalog.resolve(claimed.agent_name)
        log = await self._log.stored(attempt.owner, attempt.run_id)
        shown = self._unfinished_text(record.payload for record in log)
        begins: RunEvent = StatusChanged(RunState.RUNNING, "Answering again")
        if shown is not None:
            begins = AttemptBegan(attempt.number, shown)
        conversation = claimed.conversation_id
        work = self._work(spec, command.turn, attempt.run_id, attempt.owner, conversation, again=True)
        self._supervisor.take_up(claimed, begins, work)

    def _work(
        self,
        spec: AgentSpec,
        turn: Turn,
        run_id: RunId,
        owner: Owner,
        conversation: ConversationId,
        *,
        new: bool = False,
        again: bool = False,
    ) -> Work:
        async def work(emit: Emit, attempt: Callable[[], Awaitable[Attempt]]) -> TurnResult:
            thread = RunThread(owner, run_id, thread_id(owner, conversation), attempt, new=new, again=again)
            return await self._runner.run(spec, turn, thread, emit)

        return work
