"""Many small writes as few large ones.

Whoever writes waits for its own outcome. While one batch is being written the next one gathers; it starts
when the first has ended, so a quiet process writes at once and a busy one in large batches. A batch that
fails is tried item by item, so that one bad item fails alone; not so a failure that is no item's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_ITEMS = 500


class Group(Generic[T]):
    """Gathers items for `write`, which returns one outcome for each: None, or the error that its giver gets.

    `write` raises when nothing at all was written, as far as it knows; a `common` error is everybody's.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[Exception | None]]],
        *,
        common: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> None:
        self._write = write
        self._common = common
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def commit(self, item: T) -> None:
        """Return when the item is written; raise what became of it otherwise.

        A caller that is cancelled does not take its item back: it may be written all the same.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="group-commit")
        await outcome

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_ITEMS], self._waiting[MOST_ITEMS:]
                await self._settle(batch)
        finally:
            self._writing = None

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
