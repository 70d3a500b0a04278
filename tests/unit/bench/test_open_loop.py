"""A load that arrives whether or not it is answered."""

import asyncio
import os
from itertools import count

import pytest

from bench.askers import Timing
from bench.closed_loop import Load
from bench.open_loop import open_loop
from bench.streams_points import point
from bench.usage import Footprint

LOAD = Load(streams=20, tokens=10, token_seconds=0.01, token_characters=4, seconds=0.3)
NOBODY = Footprint(None, None, os.getpid())


async def silent(question: str, timing: Timing | None = None) -> Timing:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError(question, timing)


async def test_arrivals_wait_for_no_answer_and_those_who_got_none_have_waited_until_the_end() -> None:
    window = await open_loop(LOAD, silent, NOBODY)
    assert len(window.calls) > LOAD.streams  # a closed loop would have stopped there
    assert min(window.first_tokens()) > LOAD.answer_seconds  # what runs may go on that long
    one = point([window], LOAD)
    assert one.delivered == 0
    assert not one.is_carried


async def test_a_call_that_fails_is_counted_and_not_measured() -> None:
    numbers = count()

    async def every_second_fails(question: str, timing: Timing | None = None) -> Timing:
        assert timing is not None
        if next(numbers) % 2:
            raise RuntimeError(question)
        timing.take("word")
        return timing

    window = await open_loop(LOAD, every_second_fails, NOBODY)
    assert abs(window.failed - len(window.calls)) <= 1
    one = point([window], LOAD)
    assert one.failed == pytest.approx(0.5, abs=0.1)
    assert not one.is_carried
