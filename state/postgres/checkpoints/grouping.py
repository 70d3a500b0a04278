"""Group commit: callers that come while a statement runs share the next round trip and the next commit.

One group at a time. A caller that finds nobody at work runs its own item at once, so that nobody alone pays
for the group; the others wait in line for the next one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import asyncpg

from state.errors import OrchestratorError
from state.postgres.database import Database

T = TypeVar("T")

_MOST_ITEMS = 64
# A group this small leaves in one piece: were the process stopped between two, Postgres would hold the locks
# of the first until the second came.
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class _Item:
    arguments: tuple[Any, ...]
    run_id: str
    size: int
    row: "asyncio.Future[asyncpg.Record]"


class GroupedStatement:
    """One statement that gives exactly one row, executed for many callers.

    A group is one transaction. If Postgres refuses it, its items are executed one by one, so that only those
    at fault fail. A caller that is cancelled while it waits in line is left out.
    """

    def __init__(self, database: Database, statement: str) -> None:
        self._database = database
        self._statement = statement
        self._line: deque[_Item] = deque()
        self._at_work = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def fetch(self, arguments: tuple[Any, ...], *, run_id: str = "", size: int = 0) -> asyncpg.Record:
        """The statement's row. `run_id`: the run whose row the statement locks. `size`: the arguments' bytes.

        Raises:
            DatabaseUnavailableError: Nothing is known of whether it was executed.
            asyncpg.PostgresError: Postgres refused it.
        """
        if self._at_work:
            item = _Item(arguments, run_id, size, asyncio.get_running_loop().create_future())
            self._line.append(item)
            return await item.row
        self._at_work = True
        try:
            return await self._fetch_one(arguments)
        finally:
            self._next_group()

    async def _fetch_one(self, arguments: tuple[Any, ...]) -> asyncpg.Record:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._statement, *arguments)
        assert row is not None
        return row

    async def _fetch_many(self, group: list[_Item]) -> list[asyncpg.Record]:
        async with self._database.connection() as connection:
            return await connection.fetchmany(self._statement, [item.arguments for item in group])

    async def _one_by_one(self, group: list[_Item]) -> None:
        for item in group:
            try:
                row = await self._fetch_one(item.arguments)
            except (asyncpg.PostgresError, OrchestratorError) as error:
                _refuse([item], error)
            else:
                _give(item, row)

    def _next_group(self) -> None:
        group = self._take()
        self._at_work = bool(group)
        if group:
            self._begin(self._fetch_many(group), partial(self._settle, group))

    def _begin(self, work: Coroutine[Any, Any, T], ended: Callable[[asyncio.Task[T]], None]) -> None:
        # In a context of its own: the task would keep that of whoever happened to come first.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(ended)

    def _take(self) -> list[_Item]:
        group: list[_Item] = []
        size = 0
        while self._line and len(group) < _MOST_ITEMS:
            if group and size + self._line[0].size > _MOST_BYTES:
                break
            item = self._line.popleft()
            if not item.row.done():
                group.append(item)
                size += item.size
        # Whoever updates several runs at once has an order to keep to that excludes a deadlock with this one.
        return sorted(group, key=lambda item: item.run_id)

    def _settle(self, group: list[_Item], task: "asyncio.Task[list[asyncpg.Record]]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if isinstance(error, asyncpg.PostgresError) and len(group) > 1:
            self._begin(self._one_by_one(group), partial(self._settle_rest, group))
            return
        if error is not None:
            _refuse(group, error)
        else:
            for item, row in zip(group, task.result(), strict=True):
                _give(item, row)
        self._next_group()

    def _settle_rest(self, group: list[_Item], task: "asyncio.Task[None]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            _refuse(group, error)
        self._next_group()


def _give(item: _Item, row: asyncpg.Record) -> None:
    if not item.row.done():
        item.row.set_result(row)


def _refuse(group: list[_Item], error: BaseException) -> None:
    for item in group:
        if not item.row.done():
            item.row.set_exception(error)
