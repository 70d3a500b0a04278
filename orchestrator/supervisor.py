"""Execute runs, each as its own task that outlives the call that began it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from orchestrator.events import ChunkEncoder, RunEvent
from orchestrator.execution import RunExecution, RunIdentity, Start, Work
from orchestrator.journal import RunJournal
from orchestrator.lifecycle import ended_after_cancel
from orchestrator.run_limits import RunLimits
from orchestrator.watching import RunObserver, Unwatched
from orchestrator.windows import window_of
from state.errors import (
    CancelledRunError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    DrainingError,
    LostAttemptError,
    OrchestratorError,
)
from state.event_log import EventLog
from state.models import LOSSES_BEFORE_QUARANTINE, Attempt, ClaimedRun, NewRun, Record, RunId
from state.permission_ports import Suspension
from state.ports import RunStore
from telemetry.scope import enter
from telemetry.values import RunBegin

logger = logging.getLogger(__name__)

_LAST_WORDS_SECONDS = 5.0
"""How long runs that drain cuts off may take to write their end."""


def _nothing() -> None:
    pass


class RunSupervisor:
    """Owns every run of this process. Leaving the context drains it, at once when `hurried` is set."""

    def __init__(
        self,
        runs: RunStore,
        log: EventLog,
        encode: ChunkEncoder,
        limits: RunLimits,
        *,
        suspension: Suspension,
        hurried: asyncio.Event | None = None,
        observer: RunObserver | None = None,
    ) -> None:
        self._observer = observer or Unwatched()
        self._runs = runs
        self._log = log
        self._encode = encode
        self._limits = limits
        self._suspension = suspension
        self._hurried = hurried or asyncio.Event()
        self._executing: dict[asyncio.Task[None], RunExecution] = {}
        self.draining = False
        self.unborn: set[RunId] = set()
        """Runs that nobody was told of, and that may have been committed all the same."""

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

    @property
    def quarantined(self) -> bool:
        """Whether a run is executed that processes have died of: nothing else is to die with it."""
        return any(e.run.losses >= LOSSES_BEFORE_QUARANTINE for e in self._executing.values())

    @property
    def executing(self) -> list[RunId]:
        """The runs being executed."""
        return [execution.run.run_id for execution in self._executing.values()]

    def cancel(self, run_ids: Iterable[str]) -> None:
        """Stop those of these runs that are executed here, because somebody wants them cancelled."""
        wanted = set(run_ids)
        for execution in self._executing.values():
            if execution.run.run_id in wanted:
                execution.stop(CancelledRunError("the run was cancelled"))

    def abandon(self, run_id: RunId) -> bool:
        """Stop a run whose caller has left, unless it goes on without; whether it was executed here."""
        for execution in self._executing.values():
            if execution.run.run_id == run_id:
                if execution.run.survives:
                    return True
                execution.stop(CancelledRunError("the caller left"))
                return True
        return False

    def spare(self, run_id: RunId) -> None:
        """Should this run have been committed, let it go back to the line: it is accepted all the same."""
        self.unborn.discard(run_id)

    def begin(
        self,
        run: NewRun,
        begins: Sequence[RunEvent],
        work: Work,
        *,
        waits: bool = False,
        permission_seconds: float | None = None,
        window_seconds: float | None = None,
        ended: Callable[[], None] = _nothing,
    ) -> RunExecution:
        """Start a run; its `attempt` comes when it is committed. `ended` is called when it is over.

        A run that `waits` goes back to the line when no provider would take its call after all.

        Raises:
            DrainingError: The process is stopping.
        """
        if self.draining:
            raise DrainingError("the server is stopping")
        identity = _identity(run, waits=waits, permission_seconds=self._patience(permission_seconds))
        journal = self._journal(identity, window_seconds or self._limits.window_seconds, after=0)

        async def start(first: Sequence[Record]) -> Attempt:
            try:
                return await self._runs.begin(run, first)
            except DatabaseUnavailableError:
                self.unborn.add(run.run_id)  # nobody knows whether it was committed
                raise

        return self._launch(self._execution(identity, journal, start), begins, work, ended)

    def take_up(
        self,
        claimed: ClaimedRun,
        begins: Sequence[RunEvent],
        work: Work,
        ended: Callable[[], None],
        *,
        waits: bool,
        permission_seconds: float | None = None,
        window_seconds: float | None = None,
    ) -> RunExecution:
        """Execute a run taken from the line, in its new attempt."""
        attempt = claimed.attempt
        identity = RunIdentity(
            attempt.run_id,
            attempt.owner,
            claimed.agent_name,
            claimed.conversation_id,
            claimed.kind,
            claimed.survives,
            waits,
            self._patience(permission_seconds),
            tries=claimed.tries,
            deferrals=claimed.deferrals,
            losses=claimed.losses,
            traceparent=claimed.traceparent,
            queued=True,
        )
        window = window_seconds or self._limits.window_seconds
        journal = self._journal(identity, window, after=claimed.last_sequence)

        async def start(first: Sequence[Record]) -> Attempt:
            await self._log.store_only(attempt, first)
            return attempt

        return self._launch(self._execution(identity, journal, start), begins, work, ended)

    def _execution(self, run: RunIdentity, journal: RunJournal, start: Start) -> RunExecution:
        return RunExecution(
            run,
            self._runs,
            self._log,
            journal,
            suspension=self._suspension,
            start=start,
            retries=self._limits.retries,
        )

    def _journal(self, run: RunIdentity, window: float, *, after: int) -> RunJournal:
        return RunJournal(
            run.run_id,
            run.agent_name,
            self._encode,
            window=lambda: window_of(run.run_id, window, self.active),
            after=after,
            buffer_characters=self._limits.buffer_characters,
        )

    def _patience(self, permission_seconds: float | None) -> float:
        return permission_seconds or self._limits.permission_seconds

    def _launch(
        self, execution: RunExecution, begins: Sequence[RunEvent], work: Work, ended: Callable[[], None]
    ) -> RunExecution:
        run_id = execution.run.run_id
        tail = self._log.open(run_id)
        task = asyncio.create_task(self._watched(execution, begins, work, tail), name=f"run:{run_id}")
        self._executing[task] = execution
        task.add_done_callback(self._executing.pop)
        task.add_done_callback(lambda _: ended())
        return execution

    async def drain(self) -> None:
        """Begin nothing more, wait for what runs, then hand back what survives and end the rest.

        Safe to call twice.
        """
        self.draining = True
        if not self._executing:
            return
        await self._all_ended_or_hurried()
        for execution in self._executing.values():
            if execution.run.survives:
                execution.hand_back()
            else:
                execution.stop(DrainingError("the server is stopping"))
        if self._executing:
            await asyncio.wait(self._executing, timeout=_LAST_WORDS_SECONDS)
        for task in list(self._executing):
            await ended_after_cancel(task)

    async def _all_ended_or_hurried(self) -> None:
        ended = asyncio.ensure_future(asyncio.wait(self._executing))
        hurried = asyncio.ensure_future(self._hurried.wait())
        both: set[asyncio.Future[Any]] = {ended, hurried}
        await asyncio.wait(both, timeout=self._limits.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        for future in both:
            await ended_after_cancel(future)

    async def _watched(
        self, execution: RunExecution, begins: Sequence[RunEvent], work: Work, tail: object
    ) -> None:
        """Execute it. It closes no tail but its own: the run may have been taken up here again."""
        run = execution.run
        run_id = run.run_id
        begin = RunBegin(run_id, run.agent_name, run.kind, run.tries, run.traceparent, run.queued)
        watch = execution.watch = self._observer.began(begin)
        enter(run_id=run_id, user=run.owner, traceparent=watch.traceparent)
        failure: OrchestratorError | None = OrchestratorError("internal error")
        too_long = DeadlineExceededError(
            f"a run may take {self._limits.max_seconds:g} s",
            metadata={"seconds": f"{self._limits.max_seconds:g}"},
        )
        limit = asyncio.get_running_loop().call_later(self._limits.max_seconds, execution.stop, too_long)
        try:
            await execution.execute(begins, work)
            failure = None
        except LostAttemptError as error:
            failure = error
            watch.lost()
            logger.warning("run lost to another attempt", extra={"run_id": run_id})
        except OrchestratorError as error:
            failure = error
            logger.warning("run could not be written", extra={"run_id": run_id, "reason": error.reason})
        except Exception:
            logger.exception("run failed outside its agent", extra={"run_id": run_id})
        finally:
            limit.cancel()
            watch.left()
            execution.refuse(failure or OrchestratorError("internal error"))
            self._log.close(run_id, failure, tail=tail)


def _identity(run: NewRun, *, waits: bool, permission_seconds: float) -> RunIdentity:
    return RunIdentity(
        run.run_id,
        run.owner,
        run.agent_name,
        run.conversation_id,
        run.kind,
        run.survives,
        waits,
        permission_seconds,
        traceparent=run.traceparent,
    )
