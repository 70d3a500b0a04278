"""Cancelling a run, wherever it is executed."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Protocol

from orchestrator.events import ChunkEncoder
from orchestrator.unattended import Ended, ended
from orchestrator.watching import RunObserver, Unwatched, counted_end
from providers.pool.choice import remote_of
from state.errors import CancelledRunError
from state.models import Owner, RunId, RunState, UnattendedRun
from state.ports import RunStore


class Executor(Protocol):
    """What executes runs in this process."""

    def cancel(self, run_ids: Collection[RunId]) -> None: ...
    def abandon(self, run_id: RunId) -> bool: ...


class Cancellation:
    """Asks runs to end: here at once, elsewhere by notification, with a look at the table behind it."""

    def __init__(
        self,
        runs: RunStore,
        executor: Executor,
        encode: ChunkEncoder,
        cancel_there: Callable[[str, Owner, RunId], Awaitable[None]],
        *,
        observer: RunObserver | None = None,
    ) -> None:
        self._observer = observer or Unwatched()
        self._cancel_there = cancel_there
        self._runs = runs
        self._executor = executor
        self._end = partial(_cancelled, encode=encode)

    async def cancel(self, owner: Owner, run_id: RunId, *, after_step: bool = False) -> None:
        """Return when the wish is committed; a run in line has ended then. Changes nothing for an ended one.

        `after_step`: what is being done is done first, and kept.

        Raises:
            NotFoundError: No such run of this owner.
        """
        with counted_end(self._end, self._observer) as end:
            await self._runs.cancel(owner, run_id, end, after_step=after_step)
        if not after_step:
            self._executor.cancel([run_id])
        run = await self._runs.get(owner, run_id)
        if run.state is RunState.CANCELLED and (remote := remote_of(run.wants)):
            await self._cancel_there(remote, owner, run_id)  # it waited, and nobody executed it

    async def abandon(self, owner: Owner, run_id: RunId) -> None:
        """Cancel a run whose caller has left, unless it goes on without one.

        Raises:
            NotFoundError: No such run of this owner.
        """
        with counted_end(self._end, self._observer) as end:
            await self._runs.cancel(owner, run_id, end, left=True)
        self._executor.abandon(run_id)


def _cancelled(run: UnattendedRun, *, encode: ChunkEncoder) -> Ended:
    return ended(run, RunState.CANCELLED, CancelledRunError("the run was cancelled"), encode)
