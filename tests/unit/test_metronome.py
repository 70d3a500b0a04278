"""The metronome: many who wait for one moment, and one timer."""

import asyncio
from time import monotonic

from state.metronome import Metronome


async def test_all_who_wait_for_a_moment_are_woken_together_and_not_before() -> None:
    metronome, woken = Metronome(), list[int]()
    moment = monotonic() + 0.02

    async def wait(number: int) -> None:
        await metronome.until(moment)
        assert monotonic() >= moment
        woken.append(number)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(wait(number))
    assert woken == [0, 1, 2]


async def test_what_is_past_is_not_waited_for() -> None:
    await asyncio.wait_for(Metronome().until(monotonic() - 1), 5)


async def test_who_leaves_takes_nobody_along() -> None:
    metronome, moment = Metronome(), monotonic() + 0.05
    first, second = (asyncio.ensure_future(metronome.until(moment)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(5):
        await second
    assert monotonic() >= moment
    assert first.cancelled()
