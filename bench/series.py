"""A series of calls on both sides in turn, so that both meet the same machine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from bench.askers import Timing
from bench.report import PERCENTILES, percentile

SIDES = ("direct", "through us")
_NUMBERS = count(1)

Ask = Callable[[str], Awaitable[Timing]]
Pair = tuple[float, float]
"""Seconds directly, seconds through us."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` times: `callers` at once make `in_a_row` calls each, directly, then through the service.

    Callers begin spread over `spread` seconds: a burst would measure how long the last one queues.
    """

    name: str
    rounds: int
    callers: int = 1
    in_a_row: int = 1
    spread: float = 0.0

    @property
    def calls(self) -> int:
        """How many on each side."""
        return self.rounds * self.callers * self.in_a_row


@dataclass(frozen=True, slots=True)
class Series:
    """What a plan has measured: the timings of each side, in the order of SIDES."""

    plan: Plan
    timings: tuple[list[Timing], list[Timing]] = field(default_factory=lambda: ([], []))

    def of_both(self, percent: float, value: Callable[[Timing], float]) -> Pair:
        """A percentile of both sides."""
        direct, through = ([value(timing) for timing in side] for side in self.timings)
        return percentile(direct, percent), percentile(through, percent)

    def first_token(self) -> dict[str, Pair]:
        """The time to the first token, by percentile."""
        return {
            f"p{percent}": self.of_both(percent, lambda t: t.first_token - t.began) for percent in PERCENTILES
        }

    def added(self) -> float:
        """What we add to the median, in seconds."""
        direct, through = self.first_token()["p50"]
        return through - direct

    def stages(self, arrivals: Mapping[str, float], delay: float) -> dict[str, Pair]:
        """Medians. `arrivals`: when the provider had each question; its first token is due `delay` later."""
        return {
            "until the provider has the call": self.of_both(50, lambda t: arrivals[t.question] - t.began),
            "from when the token is due until it is here": self.of_both(
                50, lambda t: t.first_token - arrivals[t.question] - delay
            ),
            "meanwhile: until the first chunk is here": self.of_both(50, lambda t: t.first_chunk - t.began),
        }


async def measure(plan: Plan, direct: Ask, through: Ask) -> Series:
    """Ask both sides in turn."""
    series = Series(plan)
    for _ in range(plan.rounds):
        for ask, timings in zip((direct, through), series.timings, strict=True):
            timings.extend(await _block(plan, ask))
    return series


async def _block(plan: Plan, ask: Ask) -> list[Timing]:
    async def caller(index: int) -> list[Timing]:
        await asyncio.sleep(plan.spread * index / plan.callers)
        return [await ask(f"what is {next(_NUMBERS)}?") for _ in range(plan.in_a_row)]

    return [t for timings in await asyncio.gather(*map(caller, range(plan.callers))) for t in timings]
