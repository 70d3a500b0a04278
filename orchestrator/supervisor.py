"""Execute runs, each as its own task that outlives the call that began it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from agents.turn import Emit, TurnResult
from orchestrator.events import ChunkEncoder, RunCompleted, RunFailed, StatusChanged
from orchestrator.journal import RunJournal
from state.errors import CancelledRunError, DrainingError, LostAttemptError, OrchestratorError
from state.event_log import EventLog
from state.models import Attempt, NewRun, RunOutcome, RunState
from state.ports import RunStore

logger = logging.getLogger(__name__)

Work = Callable[[Emit, Callable[[], Awaitable[Attempt]]], Awaitable[TurnResult]]
"""What a run does. It begins before the run is committed; the second argument waits until it is."""

_LAST_WORDS_SECONDS = 5.0
"""How long runs that drain cuts off may take to write their end."""


class RunExecution:
    """One run being executed: the agent, the writing of its log, and its end, which is always written."""

    def __init__(self, run: NewRun, runs: RunStore, log: EventLog, journal: RunJournal) -> None:
        self.run = run
        self._runs = runs
        self._log = log
        self._journal = journal
        self._agent: asyncio.Future[TurnResult] | None = None
        self._stopped_by: OrchestratorError | None = None
        self._attempt: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()

    async def attempt(self) -> Attempt:
        """The right to write for the run, once it is committed.

        Raises:
            OrchestratorError: It was not, and nothing of it remains.
        """
        return await asyncio.shield(self._attempt)

    def stop(self, error: OrchestratorError) -> None:
        """Interrupt the agent; `error` becomes the run's end. The first call decides."""
        if self._stopped_by is None:
            self._stopped_by = error
            if self._agent is not None:
                self._agent.cancel()

    async def execute(self, status: StatusChanged, work: Work) -> None:
        """Call the agent while the run commits, write what it emits, then write how it ended."""
        self._journal.emit(status)
        agent = self._agent = asyncio.ensure_future(self._guarded(work))
        first = self._journal.take()
        try:
            attempt = await self._runs.begin(self.run, first)
        except OrchestratorError as error:
            self.refuse(error)
            await _cancelled(agent)
            return
        self._log.publish(self.run.run_id, first)
        self._attempt.set_result(attempt)
        await self._write_to_the_end(attempt, agent)

    def refuse(self, error: OrchestratorError) -> None:
        """Let nobody wait for a commit that will not come: the agent, too, may be waiting for it."""
        if not self._attempt.done():
            self._attempt.set_exception(error)
            self._attempt.exception()  # whoever asked may have left: then nobody looks at it
        if self._agent is not None:
            self._agent.cancel()

    async def _guarded(self, work: Work) -> TurnResult:
        if self._stopped_by is not None:
            raise self._stopped_by
        return await work(self._journal.emit, self.attempt)

    async def _write_to_the_end(self, attempt: Attempt, agent: asyncio.Future[TurnResult]) -> None:
        writer = asyncio.create_task(
            self._journal.write(attempt, self._log), name=f"journal:{self.run.run_id}"
        )
        both: set[asyncio.Future[Any]] = {agent, writer}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            self.stop(_as_ours(writer.exception()))
            await asyncio.wait({agent})
        self._journal.close()
        try:
            await writer
        finally:
            await self._finish(attempt, self._end(agent))

    def _end(self, agent: asyncio.Future[TurnResult]) -> RunCompleted | RunFailed:
        if agent.cancelled():
            stopped_by = self._stopped_by or CancelledRunError("the run was cancelled")
            return RunFailed(stopped_by, self._journal.answer)
        error = agent.exception()
        if error is None:
            return RunCompleted(agent.result())
        if isinstance(error, OrchestratorError):
            return RunFailed(error, self._journal.answer)
        error_id = uuid4().hex
        logger.error("run failed", extra={"run_id": self.run.run_id, "error_id": error_id}, exc_info=error)
        return RunFailed(OrchestratorError(f"internal error {error_id}"), self._journal.answer)

    async def _finish(self, attempt: Attempt, end: RunCompleted | RunFailed) -> None:
        outcome = _outcome(end)
        last = self._journal.take(end, terminal=True)
        await self._runs.finish(attempt, outcome, last)
        self._log.publish(self.run.run_id, last)
        logger.info(
            "run ended",
            extra={"run_id": self.run.run_id, "state": outcome.state, "reason": outcome.error_reason},
        )


class RunSupervisor:
    """Owns every run of this process. Leaving the context drains it.

    `window_seconds`: how long text is gathered into one chunk. `drain_seconds`: how long runs may go on after
    the process was told to stop.
    """

    def __init__(
        self,
        runs: RunStore,
        log: EventLog,
        encode: ChunkEncoder,
        *,
        window_seconds: float,
        drain_seconds: float,
    ) -> None:
        self._runs = runs
        self._log = log
        self._encode = encode
        self._window_seconds = window_seconds
        self._drain_seconds = drain_seconds
        self._executing: dict[asyncio.Task[None], RunExecution] = {}
        self.draining = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()

    @property
    def active(self) -> int:
        """How many runs are being executed."""
        return len(self._executing)

    def begin(
        self, run: NewRun, status: StatusChanged, work: Work, *, window_seconds: float | None = None
    ) -> RunExecution:
        """Start a run; its `attempt` comes when it is committed.

        Raises:
            DrainingError: The process is stopping.
        """
        if self.draining:
            raise DrainingError("the server is stopping")
        journal = RunJournal(
            run.run_id, run.agent_name, self._encode, window=window_seconds or self._window_seconds
        )
        execution = RunExecution(run, self._runs, self._log, journal)
        self._log.open(run.run_id)
        task = asyncio.create_task(self._watched(execution, status, work), name=f"run:{run.run_id}")
        self._executing[task] = execution
        task.add_done_callback(self._executing.pop)
        return execution

    async def drain(self) -> None:
        """Begin nothing more, wait for what runs, then stop the rest with DRAINING. Safe to call twice."""
        self.draining = True
        if not self._executing:
            return
        await asyncio.wait(self._executing, timeout=self._drain_seconds)
        for execution in self._executing.values():
            execution.stop(DrainingError("the server is stopping"))
        if self._executing:
            await asyncio.wait(self._executing, timeout=_LAST_WORDS_SECONDS)
        for task in list(self._executing):
            await _cancelled(task)

    async def _watched(self, execution: RunExecution, status: StatusChanged, work: Work) -> None:
        run_id = execution.run.run_id
        failure: OrchestratorError | None = OrchestratorError("internal error")
        try:
            await execution.execute(status, work)
            failure = None
        except LostAttemptError as error:
            failure = error
            logger.warning("run lost to another attempt", extra={"run_id": run_id})
        except OrchestratorError as error:
            failure = error
            logger.warning("run could not be written", extra={"run_id": run_id, "reason": error.reason})
        except Exception:
            logger.exception("run failed outside its agent", extra={"run_id": run_id})
        finally:
            execution.refuse(failure or OrchestratorError("internal error"))
            self._log.close(run_id, failure)


def _outcome(end: RunCompleted | RunFailed) -> RunOutcome:
    if isinstance(end, RunCompleted):
        result = end.result
        return RunOutcome(
            RunState.SUCCEEDED, result.finish_reason, result=_storable(result.text), usage=result.usage
        )
    cancelled = isinstance(end.error, CancelledRunError)
    state = RunState.CANCELLED if cancelled else RunState.FAILED
    return RunOutcome(state, error_reason=end.error.reason, result=_storable(end.partial))


def _storable(text: str) -> str:
    return text.replace("\0", "")  # Postgres keeps no NUL


def _as_ours(error: BaseException | None) -> OrchestratorError:
    return error if isinstance(error, OrchestratorError) else OrchestratorError("internal error")


async def _cancelled(task: asyncio.Future[TurnResult] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
