"""The line in front of the providers: who has room serves who waits, first come first served and fair."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Set
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol

from orchestrator.events import ChunkEncoder, ChunkHeader, StatusChanged
from orchestrator.line_limits import LineLimits
from orchestrator.places import Places
from orchestrator.quarantine import Quarantine
from orchestrator.unattended import Ended, ended
from orchestrator.watching import LineObserver, RunObserver, Unwatched, counted_end
from providers.gate.base import Saturated, SaturatedBy
from providers.pool.admission import Admitted, Refusal, error_of
from state.background import BackgroundTask
from state.errors import (
    DeadlineExceededError,
    DrainingError,
    NotFoundError,
    OrchestratorError,
    ProviderSaturatedError,
)
from state.line_ports import LineStore
from state.models import (
    ClaimedRun,
    NewRun,
    Owner,
    Priority,
    Record,
    RunId,
    RunKind,
    RunState,
    UnattendedRun,
)
from state.tasks import LineLoad

logger = logging.getLogger(__name__)


class Provider(Protocol):
    """What has room, or has not. `wants` is what a run has written into its row."""

    def admit(self, wants: str, waiting: Collection[str] = ()) -> Admitted | Refusal: ...
    def serves(self, admitted: Admitted, wants: str) -> bool: ...
    def on_room(self, wants: str, listener: Callable[[], None]) -> Callable[[], None]: ...


class Worker(Protocol):
    """What executes runs."""

    @property
    def draining(self) -> bool: ...


TakeUp = Callable[[ClaimedRun, Admitted], Awaitable[None]]
"""Begins a claimed run whose first model call has the permit. The permit is its own, whatever happens."""

Cancel = Callable[[Owner, RunId], Awaitable[None]]


class Line(BackgroundTask):
    """Runs one task inside its context: takes a permit first, then a run that it serves.

    `look_seconds`: how often it looks, should nobody tell it that a run has joined or that there is room;
    and how often at most it looks where everybody stands, and who has waited too long.
    """

    def __init__(
        self,
        store: LineStore,
        provider: Provider,
        worker: Worker,
        encode: ChunkEncoder,
        *,
        cancel: Cancel,
        take_up: TakeUp,
        quarantine: Quarantine,
        limits: LineLimits,
        look_seconds: float,
        observer: LineObserver | None = None,
        runs: RunObserver | None = None,
    ) -> None:
        super().__init__("line")
        self._observer: LineObserver = observer or Unwatched()
        self._runs: RunObserver = runs or Unwatched()
        self._store = store
        self._provider = provider
        self._take_up = take_up
        self._quarantine = quarantine
        self._worker = worker
        self._encode = encode
        self._cancel = cancel
        self._limits = limits
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()
        self._somebody_joined = True
        self._looked = -look_seconds
        self._waiting: set[str] = set()
        self._listening: dict[str, Callable[[], None]] = {}
        self._left: dict[RunId, Owner] = {}
        self.places = Places()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listen_for(set())
        await super().__aexit__(kind, error, trace)

    def wake(self, words: Iterable[str] = ()) -> None:
        """Somebody has joined, somewhere."""
        del words
        self._somebody_joined = True
        self._woken.set()

    def admit(self, wants: str) -> Admitted | Refusal:
        """A permit for a new run, if nobody in line could use it.

        Saturated while this process keeps itself for a run that processes have died of.

        Raises:
            DrainingError: This process is stopping.
        """
        if self._worker.draining:
            raise DrainingError("the server is stopping")
        if self._quarantine.closed:
            return Saturated(SaturatedBy.CONCURRENCY)
        return self._provider.admit(wants, self._waiting)

    async def load(self) -> LineLoad:
        """How full it is, over all replicas."""
        return await self._store.load(self._limits.high)

    def lead_seconds(self, priority: Priority) -> float:
        """By how much a priority puts a run forward."""
        return self._limits.lead_seconds(priority)

    @property
    def capacity(self) -> int:
        return self._limits.capacity

    @property
    def draining(self) -> bool:
        """Whether this process takes nothing from the line any more."""
        return self._worker.draining

    async def join(
        self,
        run: NewRun,
        status: StatusChanged,
        *,
        seconds_left: float | None = None,
        for_room: bool = True,
    ) -> int:
        """Commit a run as waiting, for `run.wait_seconds` at most; returns its place.

        `for_room`: at a provider, else for something that is nobody's in line.

        Raises:
            ConversationBusyError: Another run of the conversation is active.
            QueueFullError: Too many wait already, here or elsewhere.
            SameRequestError, RequestKeyReusedError: Its key is another run's.
            ProviderSaturatedError: Its turn would not come in the `seconds_left` to its caller.
            DatabaseUnavailableError: Nothing was begun.
        """

        def check(position: int) -> None:
            wait = self.places.at(run.wants, position).wait_seconds
            if seconds_left is not None and wait is not None and wait > seconds_left:
                raise ProviderSaturatedError("the caller's deadline comes before its turn", retry_after=wait)

        record = Record(1, self._encode(status, ChunkHeader.now(run.run_id, run.agent_name, 1)))
        position = await self._store.join(run, self._limits.joining(run.priority), [record], check)
        self._observer.joined(run.run_id, self.places.at(run.wants, position).wait_seconds)
        if for_room:
            self._waiting.add(run.wants)
        self.wake()
        return position

    def leave(self, owner: Owner, run_id: RunId) -> None:
        """Nobody waits for this run any more: it is cancelled soon, wherever it is by now."""
        self._left[run_id] = owner
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._cancel_left()
                await self._serve()
                if monotonic() - self._looked >= self._look_seconds:
                    await self._look()
            except OrchestratorError as error:
                logger.warning("step failed", extra={"step": self.name, "reason": error.reason})
                await asyncio.sleep(self._look_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._woken.wait()

    async def _look(self) -> None:
        """What nobody tells: who has waited too long, where the others stand, who joined unheard."""
        self._looked = monotonic()
        if await self._store.is_quiet():
            self._waiting = set()
            self._listen_for(set())
            self._quarantine.nobody_waits()
            self.places.found({})
            return
        self._somebody_joined = True
        with counted_end(self._overdue, self._runs) as overdue:
            await self._store.end_overdue(overdue)
        await self._store.accept_again(self._limits.low)
        if not self._worker.draining:
            await self._quarantine.look()
        watched = self.places.watched
        self.places.found(await self._store.places(watched) if watched and self._waiting else {})

    async def _serve(self) -> None:
        """Take runs while there is room for them. A permit goes to the first of all whom it serves."""
        wanted, refused = set(self._waiting), set[str]()
        if self._somebody_joined:
            self._somebody_joined = False
            wanted = set(await self._store.wanted())
        while self._serves and (open_for := wanted - refused):
            wants = min(open_for)
            admitted = self._provider.admit(wants)
            if not isinstance(admitted, Admitted):
                refused.add(wants)
                continue
            served = {wants, *(other for other in wanted if self._provider.serves(admitted, other))}
            if not await self._serve_next(served, admitted):
                wanted -= served
        self._waiting = wanted
        self._listen_for(wanted)

    @property
    def _serves(self) -> bool:
        return not self._worker.draining and not self._quarantine.closed

    async def _cancel_left(self) -> None:
        for run_id, owner in list(self._left.items()):
            with suppress(NotFoundError):
                await self._cancel(owner, run_id)
            del self._left[run_id]

    def _listen_for(self, waiting: set[str]) -> None:
        """Be told of room for these, and of no other."""
        for wants in self._listening.keys() - waiting:
            self._listening.pop(wants)()
        for wants in waiting - self._listening.keys():
            self._listening[wants] = self._provider.on_room(wants, self._woken.set)

    async def _serve_next(self, wants: Set[str], admitted: Admitted) -> bool:
        claimed = None
        try:
            claimed = await self._store.claim(wants)
        finally:
            if claimed is None:
                admitted.abandon()
        if claimed is None:
            return False
        self.places.taken(claimed.wants)
        self._observer.taken(claimed.attempt.run_id, claimed.kind, claimed.waited_seconds)
        await self._take_up(claimed, admitted)
        return True

    def _overdue(self, run: UnattendedRun) -> Ended:
        if run.kind is RunKind.TASK:
            late = DeadlineExceededError("no provider had room within the task's queue_timeout")
            return ended(run, RunState.EXPIRED, late, self._encode)
        verdict = self._provider.admit(run.wants)
        if isinstance(verdict, Admitted):  # a moment too late
            verdict.abandon()
            verdict = Saturated(SaturatedBy.CONCURRENCY, 1.0)
        return ended(run, RunState.FAILED, error_of(verdict), self._encode)
