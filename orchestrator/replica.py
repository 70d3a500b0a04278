"""This process among the others: it beats, it takes over what the dead left, and it works down the line."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from orchestrator.events import ChunkEncoder
from orchestrator.unattended import Ended, ended
from state.errors import CancelledRunError, LostAttemptError, OrchestratorError
from state.models import RunId, RunState, UnattendedRun
from state.ports import LeaseStore

logger = logging.getLogger(__name__)


class Worker(Protocol):
    """What executes runs."""

    @property
    def executing(self) -> Collection[RunId]: ...
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
    """Runs its tasks inside its context."""

    def __init__(
        self,
        leases: LeaseStore,
        worker: Worker,
        encode: ChunkEncoder,
        times: LeaseTimes,
    ) -> None:
        self._leases = leases
        self._encode = encode
        self._times = times
        self._worker = worker
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._leases.beat()  # before the first run, which would be nobody's
        for name, seconds, step in (
            ("beat", self._times.beat_seconds, self._leases.beat),
            ("reap", self._times.reap_seconds, self._reap),
            ("cancel", self._times.reap_seconds, self._cancel),
        ):
            self._tasks.append(asyncio.create_task(_every(seconds, name, step), name=name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._leases.leave()
        except OrchestratorError:
            logger.warning("replica could not say that it left")

    async def died(self) -> None:
        """Complete, or raise, when one of the tasks has ended by itself."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()

    async def _reap(self) -> None:
        reaped = await self._leases.reap(self._times.lease_seconds, self._worker.executing, self._end)
        if reaped:
            logger.warning("runs of dead replicas settled", extra={"runs": reaped})

    async def _cancel(self) -> None:
        """Should nobody have told us: a notification is lost with its connection."""
        self._worker.cancel(await self._leases.cancelling())

    def _end(self, run: UnattendedRun) -> Ended | None:
        """How a run of a dead replica ends; None = it does not, it goes back to the line."""
        if run.state is RunState.CANCELLING:
            return ended(run, RunState.CANCELLED, CancelledRunError("the run was cancelled"), self._encode)
        if run.survives:
            return None  # it is in line, or goes back there
        died = LostAttemptError("the process that answered has died")
        return ended(run, RunState.FAILED, died, self._encode)


async def _every(seconds: float, name: str, step: Callable[[], Awaitable[None]]) -> None:
    """Take a step again and again. A database that is away is no reason to stop."""
    while True:
        try:
            await step()
        except OrchestratorError as error:
            logger.warning("step failed", extra={"step": name, "reason": error.reason})
        await asyncio.sleep(seconds)
