"""Many small writes as few large ones.

Whoever writes waits for its own outcome. While one batch is being written the next one gathers; it starts
when the first has ended, so a quiet process writes at once and a busy one in large batches; batches keep a
distance from each other, so that their number does not grow with that of the givers. A batch that
fails is tried item by item, so that one bad item fails alone; not so a failure that is no item's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Generic, TypeVar

from state.signal import Signal

T = TypeVar("T")

MOST_ITEMS = 500


class Group(Generic[T]):
    """Gathers items for `write`, which returns one outcome for each: None, or the error that its giver gets.

    `write` raises when nothing at all was written, as far as it knows; a `common` error is everybody's. A
    batch begins at the earliest `pace_seconds` after the one before it began, unless something urgent waits.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[Exception | None]]],
        *,
        common: type[Exception] | tuple[type[Exception], ...] = (),
        pace_seconds: float = 0.0,
    ) -> None:
        self._write = write
        self._common = common
        self._pace_seconds = pace_seconds
        self._opens_at = 0.0
        self._urgent = Signal()
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def commit(self, item: T, *, urgent: bool = False) -> None:
        """Return when the item is written; raise what became of it otherwise.

        A caller that is cancelled does not take its item back: it may be written all the same.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if urgent:
            self._urgent.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="group-commit")
        await outcome

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._keep_distance()
                batch, self._waiting = self._waiting[:MOST_ITEMS], self._waiting[MOST_ITEMS:]
                await self._settle(batch)
        finally:
            self._writing = None

    async def _keep_distance(self) -> None:
        await self._urgent.wait(self._opens_at - monotonic())
        self._urgent.clear()
        self._opens_at = monotonic() + self._pace_seconds

    async def _settle(self, batch: list[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            outcomes = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - each giver gets its own
            if len(batch) > 1 and not isinstance(error, self._common):
                for one in batch:
                    await self._settle([one])
                return
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if outcome is None:
                future.set_result(None)
            else:
                future.set_exception(outcome)
