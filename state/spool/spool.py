"""The outage journal on disk: tasks that were accepted while Postgres was away, until Postgres has them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from state.errors import (
    NotFoundError,
    OrchestratorError,
    QueueFullError,
    RequestKeyReusedError,
    SameRequestError,
    SpoolUnavailableError,
    StateUnreadableError,
)
from state.group_commit import Group
from state.models import Owner, RequestKey, RunId
from state.sealing import PLAIN, Sealing
from state.spool.entries import COLUMNS, digest, row_of, size_of, task_of
from state.spool.errors import SpoolError
from state.spool.file import opened
from state.spool.folder import owned
from state.tasks import SpooledTask
from state.violations import Resource

T = TypeVar("T")

_INSERT = f"INSERT INTO tasks ({COLUMNS}, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_OLDEST = f"SELECT position, {COLUMNS} FROM tasks WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608
_GET = f"SELECT position, {COLUMNS} FROM tasks WHERE run_id = ?"  # noqa: S608
_ALL = f"SELECT {COLUMNS} FROM tasks"  # noqa: S608
_BY_KEY = "SELECT run_id, key_digest FROM tasks WHERE owner = ? AND method = ? AND request_id = ?"
_HOLDER = "SELECT run_id FROM tasks WHERE owner = ? AND request_id = ? ORDER BY position DESC LIMIT 1"
_HOLDS = "SELECT 1 FROM tasks WHERE owner = ? LIMIT 1"
_REMOVE = "DELETE FROM tasks WHERE run_id = ?"


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How many tasks a journal may hold, and how many bytes of them."""

    max_entries: int
    max_bytes: int


class SqliteSpool:
    """Tasks in the order of their acceptance, in a file that only this process uses.

    What `put` has returned for is on the disk; puts of the same moment share a commit. One thread does all
    the work, so that what is checked is still so when it is written. Every method raises
    SpoolUnavailableError when the disk fails.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        thread: ThreadPoolExecutor,
        limits: SpoolLimits,
        sealing: Sealing = PLAIN,
    ) -> None:
        self._sealing = sealing
        self._connection = connection
        self._thread = thread
        self._limits = limits
        self._group: Group[tuple[SpooledTask, int]] = Group(self._put_all)
        self._sizes = {row["run_id"]: size_of(tuple(row)) for row in connection.execute(_ALL)}

    def check_readable(self) -> None:
        """Raises SpoolError when a task's key is missing: it would be in the way of all after it."""
        try:
            for row in self._connection.execute(_OLDEST, (0, -1)):
                task_of(row, self._sealing)
        except StateUnreadableError as error:
            raise SpoolError(f"the outage journal: {error}") from error

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return len(self._sizes)

    async def put(self, task: SpooledTask, most: int) -> None:
        """Keep a task; it is on the disk when this returns.

        Raises:
            QueueFullError: There are `most` already.
            SameRequestError, RequestKeyReusedError: Another one has its key.
            SpoolUnavailableError: The journal or the disk is full.
        """
        await self._group.commit((task, most))

    async def check(self, owner: Owner, key: RequestKey) -> None:
        """Return when no task here has this key; raises as `put` does."""
        if self._sizes:
            await self._do(lambda: self._check_key(owner, key))

    async def get(self, owner: Owner, run_id: RunId) -> SpooledTask | None:
        """The owner's task with this id.

        Raises:
            NotFoundError: It is here, and somebody else's.
        """
        if run_id not in self._sizes:
            return None
        row = await self._do(lambda: self._connection.execute(_GET, (run_id,)).fetchone())
        if row is None:
            return None  # removed just now
        if row["owner"] != owner:
            raise NotFoundError("no such task", Resource("task", run_id))
        return task_of(row, self._sealing)

    async def holder(self, owner: Owner, request_id: str) -> RunId | None:
        """The owner's task that came last with this request's id, by whatever method."""
        if not self._sizes:
            return None
        row = await self._do(lambda: self._connection.execute(_HOLDER, (owner, request_id)).fetchone())
        return RunId(row["run_id"]) if row else None

    async def holds(self, owner: Owner) -> bool:
        """Whether there is a task of this owner."""
        if not self._sizes:
            return False
        return bool(await self._do(lambda: self._connection.execute(_HOLDS, (owner,)).fetchone()))

    async def oldest(self, after: int, limit: int) -> Sequence[SpooledTask]:
        """Up to so many tasks in the order of their acceptance, from the one after a position on."""
        rows = await self._do(lambda: self._connection.execute(_OLDEST, (after, limit)).fetchall())
        return [task_of(row, self._sealing) for row in rows]

    async def remove(self, run_ids: Collection[RunId]) -> None:
        """Forget tasks that Postgres has."""
        await self._do(lambda: self._remove(run_ids))

    async def _do(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            with _translated():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, translated)

    async def _put_all(self, items: Sequence[tuple[SpooledTask, int]]) -> Sequence[Exception | None]:
        return await self._do(lambda: self._write(items))

    def _write(self, items: Sequence[tuple[SpooledTask, int]]) -> list[Exception | None]:
        """One transaction for all; who is refused is refused alone."""
        outcomes: list[Exception | None] = []
        written: dict[str, int] = {}
        used = sum(self._sizes.values())
        with self._transaction():
            for task, most in items:
                row = row_of(task, self._sealing)
                try:
                    self._check(task, most, self.count + len(written), used + size_of(row))
                except OrchestratorError as error:
                    outcomes.append(error)
                    continue
                self._connection.execute(_INSERT, (*row, digest(row)))
                written[task.run.run_id] = size_of(row)
                used += size_of(row)
                outcomes.append(None)
        self._sizes.update(written)
        return outcomes

    def _check(self, task: SpooledTask, most: int, count: int, used: int) -> None:
        if task.run.key is not None:
            self._check_key(task.run.owner, task.run.key)
        if count >= most:
            raise QueueFullError("too many runs wait or run")
        if count >= self._limits.max_entries or used > self._limits.max_bytes:
            raise SpoolUnavailableError("the database cannot be reached, and the outage journal is full")

    def _check_key(self, owner: Owner, key: RequestKey) -> None:
        row = self._connection.execute(_BY_KEY, (owner, key.method, key.request_id)).fetchone()
        if row is None:
            return
        if row["key_digest"] != key.digest:
            raise RequestKeyReusedError(
                "this request_id was used for another request", metadata={"run_id": row["run_id"]}
            )
        raise SameRequestError(RunId(row["run_id"]))

    def _remove(self, run_ids: Collection[RunId]) -> None:
        with self._transaction():
            self._connection.executemany(_REMOVE, [(run_id,) for run_id in run_ids])
        for run_id in run_ids:
            self._sizes.pop(run_id, None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A disk that is full has ended the transaction already, or has not.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SpoolUnavailableError("the database and the outage journal cannot be used") from error


@asynccontextmanager
async def spool_in(
    folder: Path | None, limits: SpoolLimits, sealing: Sealing = PLAIN
) -> AsyncIterator[SqliteSpool | None]:
    """The journal of a folder, for this process alone while the block runs; None without a folder.

    Raises:
        SpoolError: The folder is no place for a journal, or what is in it is damaged.
    """
    if folder is None:
        yield None
        return
    run = asyncio.get_running_loop().run_in_executor
    with owned(folder) as place, ThreadPoolExecutor(1, "outage-journal") as thread:
        connection = await run(thread, opened, place)
        try:
            spool = await run(thread, lambda: SqliteSpool(connection, thread, limits, sealing))
            await run(thread, spool.check_readable)
            yield spool
        finally:
            await run(thread, connection.close)
