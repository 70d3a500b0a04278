"""What `bench.tasks` makes of what it measures, and that it puts all of its load on a side."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import pytest

from bench.peers.pace import CALLERS, Load, Measured, measure, read, write
from bench.task_report import figures, ratios
from bench.task_sides import OURS

SLOW = Measured(accepted=[0.010, 0.030], begun=[0.2, 0.4], in_a_row=[0.010], burst=100, ended=2.0)
FAST = Measured(accepted=[0.002, 0.006], begun=[0.1, 0.1], in_a_row=[0.005], burst=100, ended=0.5)


class Instant:
    """A side whose runs begin when they are accepted, and end a moment later; it may lose one of them."""

    def __init__(self, *, loses: int = 0) -> None:
        self._loses = loses
        self._begun: dict[int, float] = {}
        self._active = 0
        self.calls: list[int] = []
        self.most = 0

    async def begin(self, number: int) -> None:
        self.calls.append(number)
        self._active += 1
        self.most = max(self.most, self._active)
        await asyncio.sleep(0)
        self._active -= 1
        if number != self._loses:
            self._begun[number] = monotonic()

    async def left(self) -> int:
        return 0

    async def begun(self) -> Mapping[int, float]:
        return self._begun


def test_rounds_of_one_side_are_pooled() -> None:
    both = figures([SLOW, FAST])
    assert both.accepted_p50 == pytest.approx(0.008)  # of 2, 6, 10 and 30 ms
    assert both.in_a_row_p50 == pytest.approx(0.0075)
    assert both.rate == pytest.approx(200 / 2.5)


def test_a_ratio_is_above_one_where_we_are_ahead() -> None:
    found = ratios({OURS: [FAST, SLOW], "peer": [SLOW, SLOW]}, "peer")
    assert found["until accepted"] == pytest.approx([0.020 / 0.008, 0.020 / 0.004, 1.0])
    assert found["until begun"] == pytest.approx([0.3 / 0.15, 0.3 / 0.1, 1.0])
    assert found["runs a second"] == pytest.approx([80 / 50, 200 / 50, 1.0])


async def test_the_whole_load_is_put_on_a_side() -> None:
    side = Instant()
    measured = await measure(side, Load(calls=3, burst=CALLERS + 6))
    assert [len(measured.accepted), len(measured.begun), len(measured.in_a_row)] == [3, 3, 3]
    assert side.calls == list(range(1, len(side.calls) + 1))
    assert side.most == CALLERS
    assert measured.burst == CALLERS + 6


async def test_a_run_that_never_began_ends_the_bench() -> None:
    with pytest.raises(RuntimeError, match="1 runs were accepted and have not begun"):
        await measure(Instant(loses=25), Load(calls=3, burst=1))


def test_what_a_peer_has_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "results", SLOW)
    assert read(tmp_path / "results") == SLOW
