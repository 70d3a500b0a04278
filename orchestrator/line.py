"""The line in front of the providers: who has room serves who waits, first come first served and fair."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from orchestrator.events import ChunkEncoder, ChunkHeader, StatusChanged
from orchestrator.unattended import Ended, ended
from providers.gate.base import Saturated, SaturatedBy
from providers.pool.admission import Admitted, Refusal, error_of
from state.errors import NotFoundError, OrchestratorError
from state.models import ClaimedRun, Joining, NewRun, Owner, Record, RunId, RunState, UnattendedRun
from state.ports import LineStore

logger = logging.getLogger(__name__)

_RATE_SECONDS = 60.0
_FEWEST_TAKEN = 3
_SPACING_SECONDS = 5.0
"""How far a user's next run stands behind the one before it."""


class Provider(Protocol):
    """What has room, or has not. `wants` is what a run has written into its row."""

    def admit(self, wants: str) -> Admitted | Refusal: ...
    def on_room(self, wants: str, listener: Callable[[], None]) -> Callable[[], None]: ...


class Worker(Protocol):
    """What executes runs."""

    @property
    def draining(self) -> bool: ...


TakeUp = Callable[[ClaimedRun, Admitted], Awaitable[None]]
"""Begins a claimed run whose first model call has the permit. The permit is its own, whatever happens."""

Cancel = Callable[[Owner, RunId], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands: 1 is next. `wait_seconds` is measured, None when nothing was taken lately."""

    position: int
    wait_seconds: float | None


class Line:
    """Runs one task inside its context: takes a permit first, then a run that it serves.

    `look_seconds`: how often it looks, should nobody tell it that a run has joined or that there is room.
    """

    def __init__(
        self,
        store: LineStore,
        provider: Provider,
        worker: Worker,
        encode: ChunkEncoder,
        cancel: Cancel,
        *,
        look_seconds: float,
    ) -> None:
        self._store = store
        self._provider = provider
        self._take_up: TakeUp | None = None
        self._worker = worker
        self._encode = encode
        self._cancel = cancel
        self._look_seconds = look_seconds
        self._woken = asyncio.Event()
        self._waiting: set[str] = set()
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)
        self._watched: dict[RunId, str] = {}
        self._positions: dict[RunId, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._listening: dict[str, Callable[[], None]] = {}
        self._left: dict[RunId, Owner] = {}
        self.replicas = 1

    def serves(self, take_up: TakeUp) -> None:
        """Say who begins what is taken from the line, before it opens."""
        self._take_up = take_up

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="line")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listen_for(set())
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def died(self) -> None:
        """Complete, or raise, when the task has ended by itself."""
        if self._task is not None:
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    def wake(self, words: Iterable[str] = ()) -> None:
        """Somebody has joined, somewhere."""
        del words
        self._woken.set()

    def is_waited_for(self, wants: str) -> bool:
        """Whether somebody is in line for this: who comes now stands behind."""
        return wants in self._waiting

    @property
    def draining(self) -> bool:
        """Whether this process takes nothing from the line any more."""
        return self._worker.draining

    async def join(self, run: NewRun, status: StatusChanged, wait_seconds: float) -> None:
        """Commit a run as waiting.

        Raises:
            ConversationBusyError: Another run of the conversation is active.
            DatabaseUnavailableError: Nothing was begun.
        """
        record = Record(1, self._encode(status, ChunkHeader.now(run.run_id, run.agent_name, 1)))
        await self._store.join(run, Joining(wait_seconds, _SPACING_SECONDS), [record])
        self._waiting.add(run.wants)
        self._woken.set()

    def leave(self, owner: Owner, run_id: RunId) -> None:
        """Nobody waits for this run any more: it is cancelled soon, wherever it is by now."""
        self._left[run_id] = owner
        self._woken.set()

    @contextmanager
    def watching(self, run_id: RunId, wants: str) -> Iterator[None]:
        """Keep a run's place known for the length of the block."""
        self._watched[run_id] = wants
        try:
            yield
        finally:
            del self._watched[run_id]
            self._positions.pop(run_id, None)

    def place(self, run_id: RunId) -> Place | None:
        """Where a watched run stands; None when it is not in line, or has not been looked for yet."""
        position = self._positions.get(run_id)
        if position is None:
            return None
        rate = self._rate(self._watched[run_id])
        return Place(position, position / rate if rate else None)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._cancel_left()
                await self._serve()
                await self._store.end_overdue(self._overdue)
                self._positions = dict(await self._store.places(self._watched)) if self._watched else {}
            except OrchestratorError as error:
                logger.warning("step failed", extra={"step": "line", "reason": error.reason})
                await asyncio.sleep(self._look_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._woken.wait()

    async def _serve(self) -> None:
        wanted = set(await self._store.wanted())
        self._waiting = {wants for wants in wanted if not await self._serve_all(wants)}
        self._listen_for(self._waiting)

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

    async def _serve_all(self, wants: str) -> bool:
        """Take runs while there is room; whether nobody is left who wants this."""
        while not self._worker.draining:
            admitted = self._provider.admit(wants)
            if not isinstance(admitted, Admitted):
                return False
            if not await self._serve_next(wants, admitted):
                return True
        return False

    async def _serve_next(self, wants: str, admitted: Admitted) -> bool:
        assert self._take_up is not None, "nobody begins what is taken"
        claimed = None
        try:
            claimed = await self._store.claim(wants)
        finally:
            if claimed is None:
                admitted.abandon()
        if claimed is None:
            return False
        self._taken[wants].append(monotonic())
        await self._take_up(claimed, admitted)
        return True

    def _rate(self, wants: str) -> float:
        """Runs a second that leave the line, over all replicas: the others are taken to be like this one."""
        taken, now = self._taken[wants], monotonic()
        while taken and now - taken[0] > _RATE_SECONDS:
            taken.popleft()
        if len(taken) < _FEWEST_TAKEN:
            return 0.0
        return self.replicas * len(taken) / max(now - taken[0], 1e-3)

    def _overdue(self, run: UnattendedRun) -> Ended:
        verdict = self._provider.admit(run.wants)
        if isinstance(verdict, Admitted):  # a moment too late
            verdict.abandon()
            verdict = Saturated(SaturatedBy.CONCURRENCY, 1.0)
        return ended(run, RunState.FAILED, error_of(verdict), self._encode)
