"""One run being executed: the agent, the writing of its log, and its end, which is always written."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from agents.events import TextEmitted
from agents.turn import TurnResult, TurnSuspended
from orchestrator.again import Again, RetryPolicy
from orchestrator.endings import as_ours, outcome_of, suspended_of
from orchestrator.events import PermissionAsked, RunCompleted, RunEvent, RunFailed, StatusChanged
from orchestrator.journal import RunJournal
from orchestrator.lifecycle import ended_after_cancel
from orchestrator.watching import RunWatch, Unwatched, run_end
from state.errors import (
    CancelledRunError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    DrainingError,
    OrchestratorError,
)
from state.event_log import EventLog
from state.models import Attempt, ConversationId, Owner, Record, RunId, RunKind, RunState
from state.permission_ports import Suspension
from state.ports import RunStore
from state.usage import Usage

logger = logging.getLogger(__name__)


class Work(Protocol):
    """What a run does. It begins before the run is committed; `attempt` waits until it is.

    `pace` says until when, on the monotonic clock, no more is written of what it emits.
    """

    @property
    def usage(self) -> Usage:
        """What the run has used until now, in all its attempts."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """What the end of the run says of who answered."""
        ...

    def __call__(
        self,
        emit: Callable[[RunEvent], None],
        attempt: Callable[[], Awaitable[Attempt]],
        pace: Callable[[], float],
    ) -> Awaitable[TurnResult | TurnSuspended]: ...

    async def ended(self) -> None:
        """The run has ended, and not well: let nothing of it go on."""
        ...


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run, and whose.

    `survives`: it goes on elsewhere when this process ends. `waits`: for a provider, when none takes a call.
    `permission_seconds`: so long for a person. `tries`, `deferrals`, `losses` and `traceparent` as in
    `ClaimedRun`; `queued`: it was taken from the line.
    """

    run_id: RunId
    owner: Owner
    agent_name: str
    conversation_id: ConversationId
    kind: RunKind
    survives: bool
    waits: bool
    permission_seconds: float
    tries: int = 1
    deferrals: int = 0
    losses: int = 0
    traceparent: str = ""
    queued: bool = False


Start = Callable[[Sequence[Record]], Awaitable[Attempt]]
"""Commits the first records of an attempt, and gives the right to write on."""


class RunExecution:
    """One attempt of a run, from its beginning to its end."""

    def __init__(
        self,
        run: RunIdentity,
        runs: RunStore,
        log: EventLog,
        journal: RunJournal,
        *,
        suspension: Suspension,
        start: Start,
        retries: RetryPolicy,
    ) -> None:
        self.run = run
        self._retries = retries
        self._suspension = suspension
        self._start = start
        self._runs = runs
        self._log = log
        self._journal = journal
        self._agent: asyncio.Future[TurnResult | TurnSuspended] | None = None
        self._usage: Callable[[], Usage] = Usage
        self._about: Callable[[], Mapping[str, str]] = dict
        self._ended: Callable[[], Awaitable[None]] | None = None
        self._stopped_by: OrchestratorError | None = None
        self._handed_back = self._spoke = False
        self.watch: RunWatch = Unwatched()
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

    def hand_back(self) -> None:
        """Interrupt the agent and put the run back in line instead of ending it."""
        self._handed_back = self._stopped_by is None
        self.stop(DrainingError("the server is stopping"))

    async def execute(self, begins: Sequence[RunEvent], work: Work) -> None:
        """Call the agent while the run commits, write what it emits, then write how it ended."""
        for event in begins:
            self._journal.emit(event)
        self._usage, self._about, self._ended = lambda: work.usage, lambda: work.about, work.ended
        agent = self._agent = asyncio.ensure_future(self._guarded(work))
        first = self._journal.take()
        try:
            attempt = await self._start(first)
        except OrchestratorError as error:
            self.refuse(error)
            await ended_after_cancel(agent)
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

    async def _guarded(self, work: Work) -> TurnResult | TurnSuspended:
        if self._stopped_by is not None:
            raise self._stopped_by
        return await work(self._emit, self.attempt, self._journal.opens_at)

    def _emit(self, event: RunEvent) -> None:
        if not self._spoke and isinstance(event, TextEmitted):
            self._spoke = True
            self.watch.first_text()
        self._journal.emit(event)
        if self._journal.is_full:
            self.stop(DatabaseUnavailableError("the database is away and the buffer is full"))

    async def _write_to_the_end(
        self, attempt: Attempt, agent: asyncio.Future[TurnResult | TurnSuspended]
    ) -> None:
        writer = asyncio.create_task(
            self._journal.write(attempt, self._log), name=f"journal:{self.run.run_id}"
        )
        both: set[asyncio.Future[Any]] = {agent, writer}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            self.stop(as_ours(writer.exception()))
            await asyncio.wait({agent})
        self._journal.close()
        try:
            await writer
        finally:
            if self._handed_back and self._stopped_by is not None and agent.cancelled():
                await self._write_steps(attempt)
                await self._runs.requeue(attempt, self._usage())
                self.watch.put_back("handed_back")
                self._log.close(self.run.run_id, self._stopped_by)
            elif (again := self._again(agent)) is not None:
                await self._put_back(attempt, again)
            elif (suspended := suspended_of(agent)) is not None:
                await self._suspend(attempt, suspended)
            else:
                await self._finish(attempt, self._end(agent))

    async def _write_steps(self, attempt: Attempt) -> None:
        """Write what the whole steps have said: they are not done again."""
        if records := self._journal.take_steps():
            await self._log.append(attempt, records, urgent=True)

    async def _suspend(self, attempt: Attempt, suspended: TurnSuspended) -> None:
        """Wait for a person, without holding anything."""
        seconds = self.run.permission_seconds
        events = [
            PermissionAsked(question, self.run.conversation_id, seconds) for question in suspended.questions
        ]
        waits = StatusChanged(RunState.WAITING_FOR_PERMISSION, "Waiting for a permission")
        last = self._journal.take(*events, waits)
        try:
            await self._suspension.suspend(attempt, suspended.questions, seconds, last, self._usage())
        except CancelledRunError as error:
            await self._finish(attempt, self._failed(error))
            return
        self._log.publish(self.run.run_id, last)
        self.watch.suspended()
        logger.info("run waits for a permission", extra={"run_id": self.run.run_id})

    def _again(self, agent: asyncio.Future[TurnResult | TurnSuspended]) -> Again | None:
        error = None if agent.cancelled() else agent.exception()
        if not isinstance(error, OrchestratorError):
            return None
        run = self.run
        # What a caller wants to be refused is the wait before the first answer; a run in its middle waits.
        used = self._usage().total
        waits = run.waits or used.model_calls > used.calls_beside
        return self._retries.again(
            error, kind=run.kind, waits=waits, tries=run.tries, deferrals=run.deferrals
        )

    async def _put_back(self, attempt: Attempt, again: Again) -> None:
        """Back to the line, for whoever takes it up next."""
        put_back = self._runs.retry if again.counts else self._runs.defer
        await self._write_steps(attempt)
        try:
            await put_back(attempt, again.seconds, self._usage())
        except CancelledRunError as error:
            await self._finish(attempt, self._failed(error))
        else:
            self.watch.put_back("retry" if again.counts else "deferral")
            extra = {"run_id": self.run.run_id, "seconds": again.seconds, "counts": again.counts}
            logger.info("run goes back to the line", extra=extra)

    def _end(self, agent: asyncio.Future[TurnResult | TurnSuspended]) -> RunCompleted | RunFailed:
        if agent.cancelled():
            stopped_by = self._stopped_by or CancelledRunError("the run was cancelled")
            return self._failed(stopped_by)
        error = agent.exception()
        if error is None and isinstance(result := agent.result(), TurnResult):
            return RunCompleted(result, self._usage(), self._about())
        if isinstance(error, DeadlineExceededError):  # the caller's: the server's own arrives by `stop`
            return self._failed(CancelledRunError(error.message))
        if isinstance(error, OrchestratorError):
            return self._failed(error)
        error_id = uuid4().hex
        logger.error("run failed", extra={"run_id": self.run.run_id, "error_id": error_id}, exc_info=error)
        return self._failed(OrchestratorError(f"internal error {error_id}", metadata={"error_id": error_id}))

    def _failed(self, error: OrchestratorError) -> RunFailed:
        return RunFailed(error, self._journal.answer, self._usage(), self._about())

    async def _finish(self, attempt: Attempt, end: RunCompleted | RunFailed) -> None:
        outcome = outcome_of(end)
        closing = end.result.closing if isinstance(end, RunCompleted) else ()
        last = self._journal.take(*closing, end, terminal=True)
        try:
            await self._runs.finish(attempt, outcome, last)
        except CancelledRunError as error:  # it was asked to end while it was ending
            end = self._failed(error)
            outcome, last = outcome_of(end), [*last[:-1], self._journal.instead_of_last(end)]
            await self._runs.finish(attempt, outcome, last)
        self._log.publish(self.run.run_id, last)
        agent, kind = self._journal.agent_name, self.run.kind
        self.watch.ended(run_end(agent, kind, outcome, outcome.usage))
        told = {"run_id": self.run.run_id, "kind": kind, "agent": agent, "tries": self.run.tries}
        logger.info("run ended", extra={**told, "state": outcome.state, "reason": outcome.error_reason})
        if self._ended is not None and outcome.state is not RunState.SUCCEEDED:
            await self._ended()
