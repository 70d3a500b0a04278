"""This process among the others: it beats, and it takes over what the dead left."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from orchestrator.events import ChunkEncoder
from orchestrator.repeated import Repeated
from orchestrator.unattended import Ended, ended
from orchestrator.watching import RunObserver, Unwatched, counted_end
from state.errors import CancelledRunError, DatabaseUnavailableError, LostAttemptError, OrchestratorError
from state.models import LOSSES_BEFORE_QUARANTINE, RunId, RunState, UnattendedRun
from state.ports import LeaseStore

logger = logging.getLogger(__name__)


class Worker(Protocol):
    """What executes runs."""

    @property
    def executing(self) -> Collection[RunId]: ...
    @property
    def unborn(self) -> set[RunId]: ...
    def cancel(self, run_ids: Collection[RunId]) -> None: ...


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """In seconds.

    A process that cannot beat for `lease_seconds` is taken for dead: its runs end or go to another one, and
    whatever it still writes for them is refused.
    """

    lease_seconds: float
    beat_seconds: float
    reap_seconds: float


class Replica:
    """Runs its tasks inside its context.

    `counted` gets the number of replicas that live, this one among them, whenever it has changed.
    """

    def __init__(
        self,
        leases: LeaseStore,
        worker: Worker,
        encode: ChunkEncoder,
        times: LeaseTimes,
        counted: Callable[[int], None],
        *,
        observer: RunObserver | None = None,
    ) -> None:
        self._observer = observer or Unwatched()
        self._leases = leases
        self._encode = encode
        self._times = times
        self._worker = worker
        self._counted = counted
        self._alive = 1
        self._looked_for: dict[RunId, float] = {}
        self._steps = (
            Repeated("beat of the replica", times.beat_seconds, self._beat),
            Repeated("reaper", times.reap_seconds, self._reap),
            Repeated("canceller", times.beat_seconds, self._cancel),
        )
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._beat()  # before the first run, which would be nobody's
        async with AsyncExitStack() as stack:
            for step in self._steps:
                await stack.enter_async_context(step)
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.aclose()
        try:
            await self._leases.leave()
        except OrchestratorError:
            logger.warning("replica could not say that it left")

    @property
    def deaths(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What must not end by itself, by name."""
        return {f"the {step.name}": step.died for step in self._steps}

    async def _beat(self) -> None:
        alive = await self._leases.beat(self._times.lease_seconds)
        if alive != self._alive:
            self._alive = alive
            self._counted(alive)

    async def _reap(self) -> None:
        unborn, seconds = set(self._worker.unborn), self._times.lease_seconds
        with counted_end(self._end, self._observer) as end:
            reaped = await self._leases.reap(seconds, self._worker.executing, unborn, end)
        self._observer.reaped(reaped)
        self._forget_unborn(unborn)
        if reaped:
            logger.warning("runs of dead replicas settled", extra={"runs": reaped})

    def _forget_unborn(self, looked_for: Collection[RunId]) -> None:
        """After a lease of looking: at the first look a commit may still be under way."""
        now = monotonic()
        for run_id in looked_for:
            if now - self._looked_for.setdefault(run_id, now) > self._times.lease_seconds:
                self._worker.unborn.discard(run_id)
        for run_id in self._looked_for.keys() - self._worker.unborn:
            del self._looked_for[run_id]

    async def _cancel(self) -> None:
        """Should nobody have told us: a notification is lost with its connection."""
        self._worker.cancel(await self._leases.cancelling())

    def _end(self, run: UnattendedRun) -> Ended | None:
        """How a run of a dead replica ends; None = it does not, it goes back to the line."""
        if run.state is RunState.CANCELLING:
            return ended(run, RunState.CANCELLED, CancelledRunError("the run was cancelled"), self._encode)
        if run.run_id in self._worker.unborn:
            lost = DatabaseUnavailableError("the run was not begun: nobody was told of it")
            return ended(run, RunState.FAILED, lost, self._encode)
        if run.survives and run.losses < LOSSES_BEFORE_QUARANTINE:
            return None  # it is in line, or goes back there
        died = LostAttemptError("the process that answered has died")
        return ended(run, RunState.FAILED, died, self._encode)
