"""The signal: an event whose waiting ends by itself, without a task being cancelled for it."""

import asyncio

import pytest

from state.signal import Signal


async def test_setting_wakes_everybody_who_waits() -> None:
    signal = Signal()
    waiting = [asyncio.ensure_future(signal.wait()), asyncio.ensure_future(signal.wait(60))]
    await asyncio.sleep(0)
    signal.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [True, True]


async def test_a_wait_ends_with_its_time_and_says_that_nothing_was_set() -> None:
    signal = Signal()
    async with asyncio.timeout(5):
        assert await signal.wait(0.01) is False
    assert not signal.is_set()


async def test_what_is_set_or_past_its_time_is_not_waited_for() -> None:
    signal = Signal()
    assert await signal.wait(0) is False
    assert await signal.wait(-1) is False
    signal.set()
    assert await signal.wait(0) is True
    signal.clear()
    assert not signal.is_set()


async def test_who_was_woken_has_been_told_even_if_it_is_cleared_at_once() -> None:
    signal = Signal()
    waiting = asyncio.ensure_future(signal.wait(60))
    await asyncio.sleep(0)
    signal.set()
    signal.clear()
    async with asyncio.timeout(5):
        assert await waiting is True


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    signal = Signal()
    waiting = asyncio.ensure_future(signal.wait(60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert signal._waiters == []
    signal.set()
