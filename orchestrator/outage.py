"""StartTask while Postgres is away: accepted into a journal on disk, and known there until it is drained."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from orchestrator.events import ChunkEncoder, ChunkHeader, StatusChanged
from orchestrator.line_limits import LineLimits
from state.errors import DatabaseUnavailableError, QueueFullError
from state.models import NewRun, Owner, Record, RequestKey, RunId, RunState
from state.tasks import LineLoad, SpooledTask, TaskRow

T = TypeVar("T")


class Spool(Protocol):
    """Where accepted tasks are kept. Every method raises SpoolUnavailableError when the disk fails."""

    @property
    def count(self) -> int: ...

    async def put(self, task: SpooledTask, most: int) -> None:
        """Keep a task; it is on the disk when this returns.

        Raises:
            QueueFullError: There are `most` already.
            SameRequestError, RequestKeyReusedError: Another one has its key.
            SpoolUnavailableError: The journal or the disk is full.
        """
        ...

    async def check(self, owner: Owner, key: RequestKey) -> None: ...
    async def get(self, owner: Owner, run_id: RunId) -> SpooledTask | None: ...
    async def holder(self, owner: Owner, request_id: str) -> RunId | None: ...
    async def holds(self, owner: Owner) -> bool: ...


class OutageJournal:
    """Decides what goes through the journal. `away`: Postgres could not be reached when it was tried last.

    `woken` is set whenever there is a reason to try again.
    """

    def __init__(self, spool: Spool, encode: ChunkEncoder, limits: LineLimits) -> None:
        self._spool = spool
        self._encode = encode
        self._limits = limits
        self._known = LineLoad(0, refusing=False)
        self.away = False
        self.woken = asyncio.Event()

    def lost_sight(self) -> None:
        """Postgres cannot be reached."""
        self.away = True
        self.woken.set()

    def sees(self, load: LineLoad) -> None:
        """Postgres can be reached, and so many are in line."""
        self.away = False
        self._known = load

    async def check(self, owner: Owner, key: RequestKey) -> None:
        """Return when no task here has this key.

        Raises:
            SameRequestError: One has, and was asked for the same.
            RequestKeyReusedError: One has, and was asked for something else.
        """
        await self._spool.check(owner, key)

    async def begin(self, run: NewRun, status: StatusChanged, commit: Callable[[], Awaitable[T]]) -> T | None:
        """Commit a run, or accept it here if that cannot be done: then None.

        It is accepted here, too, while others of its owner wait here to be drained: it may not overtake them.

        Raises:
            QueueFullError: At the last count, and with what is here, too many wait or run.
            DatabaseUnavailableError: The journal is full or fails: nothing was accepted.
            SameRequestError, RequestKeyReusedError: Its key is another run's.
            Whatever else `commit` raises.
        """
        if not self.away and not await self._spool.holds(run.owner):
            try:
                return await commit()
            except DatabaseUnavailableError:
                self.lost_sight()
        try:
            await self._accept(run, status)
        except DatabaseUnavailableError:
            if self.away:
                raise
            return await commit()  # only an order would have been kept
        return None

    async def row(self, owner: Owner, run_id: RunId) -> TaskRow | None:
        """A task as it stands here; None when it is not here."""
        task = await self._spool.get(owner, run_id)
        return None if task is None else TaskRow.of_new(task.run, RunState.QUEUED, task.accept_time)

    async def holder(self, owner: Owner, request_id: str) -> RunId | None:
        """The task here that a request with this id began."""
        return await self._spool.holder(owner, request_id)

    async def refuse(self, owner: Owner, run_id: RunId) -> None:
        """Return unless the task is here.

        Raises:
            DatabaseUnavailableError: It is: nothing can be done with it but wait until it is drained.
        """
        if await self._spool.get(owner, run_id) is not None:
            raise DatabaseUnavailableError("the task is in the outage journal until the database is back")

    async def _accept(self, run: NewRun, status: StatusChanged) -> None:
        record = Record(1, self._encode(status, ChunkHeader.now(run.run_id, run.agent_name, 1)))
        joining = self._limits.joining(run.priority)
        mark = joining.low if self._known.refusing else joining.high
        try:
            await self._spool.put(SpooledTask(run, record, datetime.now(UTC)), mark - self._known.active)
        except QueueFullError as error:
            raise QueueFullError(error.message, metadata={"high": str(joining.high)}) from error
        self.woken.set()
