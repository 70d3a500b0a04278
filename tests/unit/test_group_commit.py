"""Many small writes as few large ones, each giver with its own outcome."""

import asyncio
from collections.abc import Sequence

import pytest

from state.group_commit import MOST_ITEMS, Group


class Sink:
    """Writes down the batches it gets; `refused` items fail alone, `poison` fails whatever batch it is in."""

    def __init__(self, *, refused: int | None = None, poison: int | None = None) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()
        self._refused = refused
        self._poison = poison

    async def write(self, batch: Sequence[int]) -> Sequence[Exception | None]:
        self.batches.append(list(batch))
        self.began.set()
        await self.gate.wait()
        if self._poison in batch:
            raise ConnectionError
        return [ValueError() if item == self._refused else None for item in batch]


async def test_a_quiet_process_writes_at_once() -> None:
    sink = Sink()
    group = Group(sink.write)
    for item in range(3):
        await group.commit(item)
    assert sink.batches == [[0], [1], [2]]


async def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    sink = Sink()
    group = Group(sink.write)
    sink.gate.clear()
    givers = [asyncio.create_task(group.commit(item)) for item in range(5)]
    await sink.began.wait()
    late = [asyncio.create_task(group.commit(item)) for item in range(5, 8)]
    await asyncio.sleep(0)
    sink.gate.set()
    await asyncio.gather(*givers, *late)
    assert sink.batches == [[0, 1, 2, 3, 4], [5, 6, 7]]


async def test_batches_keep_their_distance_and_what_is_urgent_does_not_wait() -> None:
    sink = Sink()
    group = Group(sink.write, pace_seconds=60.0)
    await group.commit(0)
    waiting = [asyncio.create_task(group.commit(item)) for item in (1, 2)]
    await asyncio.sleep(0.05)
    assert sink.batches == [[0]]
    await group.commit(3, urgent=True)
    await asyncio.gather(*waiting)
    assert sink.batches == [[0], [1, 2, 3]]


async def test_a_refused_item_fails_its_own_giver_only() -> None:
    group = Group(Sink(refused=1).write)
    outcomes = await asyncio.gather(*(group.commit(item) for item in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]


async def test_a_failure_that_is_no_items_is_everybodys_and_is_not_looked_for() -> None:
    sink = Sink(poison=1)
    group = Group(sink.write, common=ConnectionError)
    outcomes = await asyncio.gather(*(group.commit(item) for item in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
    assert sink.batches == [[0, 1, 2]]


async def test_a_batch_that_fails_is_tried_item_by_item() -> None:
    sink = Sink(poison=1)
    group = Group(sink.write)
    outcomes = await asyncio.gather(*(group.commit(item) for item in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), ConnectionError, type(None)]
    assert sink.batches == [[0, 1, 2], [0], [1], [2]]


async def test_a_batch_is_never_larger_than_a_statement_bears() -> None:
    sink = Sink()
    group = Group(sink.write)
    await asyncio.gather(*(group.commit(item) for item in range(MOST_ITEMS * 2 + 1)))
    assert [len(batch) for batch in sink.batches] == [MOST_ITEMS, MOST_ITEMS, 1]


async def test_a_giver_that_leaves_holds_nobody_up() -> None:
    sink = Sink()
    group = Group(sink.write)
    sink.gate.clear()
    leaving = asyncio.create_task(group.commit(1))
    await sink.began.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    sink.gate.set()
    await asyncio.wait_for(group.commit(2), 5)
    assert sink.batches == [[1], [2]]
