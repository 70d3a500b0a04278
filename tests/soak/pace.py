"""Arrivals at a rate, whatever becomes of those before; and how high the rate may be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from statistics import median
from time import monotonic

from tests.soak.visitors import Visitors

_MOST_AT_ONCE = 400
_STEP_SHARE = 0.35
"""The first part of each step of the ramp is left out: runs of the step before are still going on."""
_FULL = 0.95
_SLOWER = 3.0
_LATE_SECONDS = 0.5


class Arrivals:
    """An open loop. `offered` and `refused` count visits: one that finds too many others is not made.

    `most_late`: the most seconds between the time of a visit and its begin.
    """

    def __init__(self, visitors: Visitors, random: Random) -> None:
        self._visitors = visitors
        self._random = random
        self._going: set[asyncio.Task[None]] = set()
        self.offered = 0
        self.refused = 0
        self.most_late = 0.0
        self._most = 0

    def most_going(self) -> int:
        """The most at once since this was last asked."""
        most, self._most = self._most, self.going
        return most

    @property
    def going(self) -> int:
        """Visits that have not ended."""
        return len(self._going)

    async def come(self, rate: float, seconds: float) -> None:
        """So many a second on average, at times of chance."""
        due, until = monotonic(), monotonic() + seconds
        while (due := due + self._random.expovariate(rate)) < until:
            await asyncio.sleep(max(0.0, due - monotonic()))
            self.most_late = max(self.most_late, monotonic() - due)
            self.offered += 1
            if self.going >= _MOST_AT_ONCE:
                self.refused += 1
                continue
            task = asyncio.create_task(self._visitors.one(), name="a visit")
            self._going.add(task)
            self._most = max(self._most, self.going)
            task.add_done_callback(self._gone)

    def _gone(self, task: "asyncio.Task[None]") -> None:
        self._going.discard(task)
        if not task.cancelled():
            task.result()

    @property
    def wait(self) -> float:
        """The median of the seconds that the latest visitors waited for text."""
        return median(self._visitors.waits or [float("inf")])

    def forget(self) -> None:
        """How long anybody has waited, or come late, so far."""
        self._visitors.waits.clear()
        self.most_late = 0.0

    async def ended(self, within: float) -> bool:
        """Wait for those who are here; whether all have gone in time."""
        if self._going:
            await asyncio.wait(self._going, timeout=within)
        return not self._going

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """Visits that go on at the end of the block are broken off."""
        try:
            yield
        finally:
            for task in self._going:
                task.cancel()
            await asyncio.gather(*self._going, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Step:
    """Of the ramp: visits a second, the process's share of one processor, and the median wait for text."""

    rate: float
    cpu: float
    wait: float
    most_late: float


def carried(steps: Sequence[Step]) -> bool:
    """Whether the last step was no more than the process, its machine, and who loads it, could do."""
    last, quickest = steps[-1], min(step.wait for step in steps)
    return last.cpu < _FULL and last.wait < _SLOWER * quickest and last.most_late < _LATE_SECONDS


def capacity(steps: Sequence[Step]) -> float:
    """Visits a second: the last rate that was carried; where that was less than the next only because its
    processor was busy, what would just have filled it."""
    good = [step for n, step in enumerate(steps, 1) if carried(steps[:n])] or [steps[0]]
    if steps[-1].cpu < _FULL:
        return good[-1].rate
    return min(good[-1].rate / good[-1].cpu, steps[-1].rate)


async def ramp(
    rates: Sequence[float],
    seconds: float,
    arrivals: Arrivals,
    cpu: Callable[[], float],
    say: Callable[[Step], None],
) -> list[Step]:
    """Each rate for so long, until one is not carried. `cpu`: seconds that the process has used so far."""
    steps: list[Step] = []
    for rate in rates:
        await arrivals.come(rate, _STEP_SHARE * seconds)
        arrivals.forget()
        began, before = monotonic(), cpu()
        await arrivals.come(rate, (1 - _STEP_SHARE) * seconds)
        share = (cpu() - before) / (monotonic() - began)
        steps.append(Step(rate, max(share, 0.001), arrivals.wait, arrivals.most_late))
        say(steps[-1])
        if not carried(steps):
            break
    return steps
