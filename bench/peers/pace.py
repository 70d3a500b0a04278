"""How `bench.tasks` puts every side to work. In the peers' environments too: the standard library alone."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Protocol

INTERVAL_SECONDS = 0.025
"""Between the calls of a paced series: each finds its worker idle."""
CALLERS = 64
"""At the same time, in a burst."""
_WARM_UP = 20
_LOOK_SECONDS = 0.01


class Side(Protocol):
    """What is measured: something that does every run it has accepted, whoever dies meanwhile."""

    async def begin(self, number: int) -> None:
        """Return when a run is accepted."""
        ...

    async def left(self) -> int:
        """How many accepted runs have not ended, as the database says."""
        ...

    async def begun(self) -> Mapping[int, float]:
        """When the work of each run began, on the monotonic clock of this machine."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """`calls` at a pace, as many in a row, and a burst of `burst` runs."""

    calls: int
    burst: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One side in one round, in seconds.

    `accepted`: of each call, one every INTERVAL_SECONDS. `begun`: from such a call until its work began.
    `in_a_row`: of each call, made when the one before it was answered. `ended`: from the first of `burst`
    calls, CALLERS at a time, until the database had the end of the last.
    """

    accepted: list[float]
    begun: list[float]
    in_a_row: list[float]
    burst: int
    ended: float


async def measure(side: Side, load: Load) -> Measured:
    """Put a load on a side.

    Raises:
        RuntimeError: A run was accepted and not done.
    """
    numbers = count(1)
    await _burst(side, _WARM_UP, numbers)
    called, accepted = await _paced(side, load.calls, numbers)
    await _all_ended(side)
    in_a_row = [await _call(side, next(numbers)) for _ in range(load.calls)]
    await _all_ended(side)
    ended = await _burst(side, load.burst, numbers)
    begun = await side.begun()
    if missing := next(numbers) - 1 - len(begun):
        raise RuntimeError(f"{missing} runs were accepted and have not begun")
    waited = [begun[number] - moment for number, moment in called.items()]
    return Measured(accepted, waited, in_a_row, load.burst, ended)


async def _paced(side: Side, calls: int, numbers: "count[int]") -> tuple[dict[int, float], list[float]]:
    """When each was called, and the seconds until it was accepted. Who is late catches nothing up."""
    called: dict[int, float] = {}
    accepted = []
    for _ in range(calls):
        number = next(numbers)
        called[number] = monotonic()
        accepted.append(await _call(side, number))
        await asyncio.sleep(max(0.0, called[number] + INTERVAL_SECONDS - monotonic()))
    return called, accepted


async def _burst(side: Side, runs: int, numbers: "count[int]") -> float:
    free = asyncio.Semaphore(CALLERS)

    async def call() -> None:
        async with free:
            await side.begin(next(numbers))

    began = monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(runs):
            group.create_task(call())
    await _all_ended(side)
    return monotonic() - began


async def _call(side: Side, number: int) -> float:
    began = monotonic()
    await side.begin(number)
    return monotonic() - began


async def _all_ended(side: Side) -> None:
    while await side.left():  # noqa: ASYNC110 - no side tells: all are asked alike
        await asyncio.sleep(_LOOK_SECONDS)


def write(path: Path, measured: Measured) -> None:
    """For the process that has started this one."""
    path.write_text(json.dumps(asdict(measured)))


def read(path: Path) -> Measured:
    """What the other process has written."""
    return Measured(**json.loads(path.read_text()))
