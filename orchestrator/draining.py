"""What the outage journal holds goes into Postgres when that is back: oldest first, each task once."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, Self

from orchestrator.events import ChunkEncoder
from orchestrator.lifecycle import ended_after_cancel
from orchestrator.line_limits import LineLimits
from orchestrator.outage import OutageJournal
from orchestrator.unattended import ended
from state.background import BackgroundTask
from state.errors import (
    DatabaseUnavailableError,
    DeadlineExceededError,
    OrchestratorError,
    RejectedAtDrainError,
    RequestKeyReusedError,
    SameRequestError,
    SpoolUnavailableError,
)
from state.models import Joining, Record, RunId, RunOutcome, RunState, UnattendedRun
from state.tasks import LineLoad, SpooledTask

logger = logging.getLogger(__name__)

_BATCH = 50
_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class DrainTimes:
    """`retry_seconds`: how often a Postgres that is away is tried."""

    retry_seconds: float


class Spool(Protocol):
    """What is to be drained."""

    @property
    def count(self) -> int: ...
    async def oldest(self, after: int, limit: int) -> Sequence[SpooledTask]: ...
    async def remove(self, run_ids: Collection[RunId]) -> None: ...


class DrainStore(Protocol):
    """Where it goes. Both change nothing when the task's run is there, and raise DatabaseUnavailableError.

    `waited` says how many seconds ago the task was accepted; it is asked inside the transaction.
    """

    async def commit(self, task: SpooledTask, joining: Joining, waited: Callable[[], float]) -> None:
        """Commit a task as QUEUED.

        Raises:
            SameRequestError, RequestKeyReusedError: Another run has its key; nothing was written.
            OrchestratorError: The row is refused; nothing was written.
        """
        ...

    async def reject(
        self,
        task: SpooledTask,
        joining: Joining,
        waited: Callable[[], float],
        end: tuple[UnattendedRun, RunOutcome, Record],
    ) -> None:
        """Commit a task as ended, without its key."""
        ...


class Line(Protocol):
    """Where the tasks wait then."""

    async def load(self) -> LineLoad: ...
    def wake(self) -> None: ...


class Drain(BackgroundTask):
    """Runs one task inside its context, which also sees whether Postgres is there and how full the line is.

    A task is removed from the journal once its row is committed. Should the process die between the two, the
    next one finds the row by the task's id.
    """

    def __init__(
        self,
        journal: OutageJournal,
        spool: Spool,
        store: DrainStore,
        line: Line,
        encode: ChunkEncoder,
        *,
        limits: LineLimits,
        times: DrainTimes,
    ) -> None:
        super().__init__("drain of the outage journal")
        self._journal = journal
        self._spool = spool
        self._store = store
        self._line = line
        self._encode = encode
        self._limits = limits
        self._times = times
        self._stuck: set[RunId] = set()

    async def __aenter__(self) -> Self:
        with suppress(DatabaseUnavailableError):
            await self._look()  # before the first task: how full the line is counts for it
        return await super().__aenter__()

    async def _run(self) -> None:
        while True:
            self._journal.woken.clear()
            await self._step()
            if self._journal.away:
                await asyncio.sleep(self._times.retry_seconds)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._journal.woken.wait()

    async def _step(self) -> None:
        was_away = self._journal.away
        try:
            await self._look()
            await self._drain()
        except SpoolUnavailableError as error:
            logger.warning("outage journal fails", extra={"tasks": self._spool.count}, exc_info=error)
        except DatabaseUnavailableError:
            self._journal.lost_sight()
        if self._journal.away and not was_away:
            logger.warning("postgres is away: tasks go into the outage journal")

    async def _look(self) -> None:
        """See how full the line is. Who does not answer soon is away, and there again when it answers."""
        looking = asyncio.ensure_future(self._line.load())
        try:
            done, _ = await asyncio.wait({looking}, timeout=_PROBE_SECONDS)
            if not done:
                self._journal.lost_sight()
            self._journal.sees(await looking)
        finally:
            await ended_after_cancel(looking)

    async def _drain(self) -> None:
        position = 0
        while self._spool.count > len(self._stuck):
            tasks = await self._spool.oldest(position, _BATCH)
            if not tasks:
                return
            position = tasks[-1].position
            await self._drain_all([task for task in tasks if task.run.run_id not in self._stuck])
            await self._look()

    async def _drain_all(self, tasks: Sequence[SpooledTask]) -> None:
        drained: list[RunId] = []
        try:
            for task in tasks:
                if await self._drain_one(task):
                    drained.append(task.run.run_id)
        finally:
            if drained:
                await self._spool.remove(drained)
                self._line.wake()
                logger.info(
                    "outage journal drained", extra={"tasks": len(drained), "left": self._spool.count}
                )

    async def _drain_one(self, task: SpooledTask) -> bool:
        """Whether Postgres has it now."""
        joining = self._limits.joining(task.run.priority)
        waited = partial(_waited, task)
        try:
            if task.run.wait_seconds is not None and waited() >= task.run.wait_seconds:
                await self._store.reject(task, joining, waited, self._ended(task, _late()))
                return True
            try:
                await self._store.commit(task, joining, waited)
            except (SameRequestError, RequestKeyReusedError) as error:
                await self._store.reject(task, joining, waited, self._ended(task, _lost(error)))
        except DatabaseUnavailableError:
            raise
        except OrchestratorError:
            # Kept for the next start: a release that can write it may come.
            self._stuck.add(task.run.run_id)
            logger.exception("task cannot be drained", extra={"run_id": task.run.run_id})
            return False
        return True

    def _ended(self, task: SpooledTask, error: OrchestratorError) -> tuple[UnattendedRun, RunOutcome, Record]:
        run = task.run
        stands = UnattendedRun(
            run.run_id,
            run.owner,
            run.kind,
            run.agent_name,
            run.conversation_id,
            RunState.QUEUED,
            run.survives,
            task.first.sequence,
        )
        state = RunState.EXPIRED if isinstance(error, DeadlineExceededError) else RunState.FAILED
        return (stands, *ended(stands, state, error, self._encode))


def _waited(task: SpooledTask) -> float:
    """Seconds since it was accepted, by this host's clock."""
    return max(0.0, (datetime.now(UTC) - task.accept_time).total_seconds())


def _late() -> OrchestratorError:
    return DeadlineExceededError("the database was away for longer than the task's queue_timeout")


def _lost(error: OrchestratorError) -> OrchestratorError:
    return RejectedAtDrainError(
        "another run was begun by the same request_id while the database was away", metadata=error.metadata
    )
