"""A steady arrival: answers are asked for in a fixed rhythm, however slow the ones before them are."""

import asyncio
from itertools import count
from time import monotonic

import aiohttp
import grpc

from bench.askers import AskInto, Timing
from bench.closed_loop import Load, Window
from bench.usage import Footprint

WARM_ANSWERS = 2
"""A window begins when that many answers could have been given one after the other."""
_LINGER_SECONDS = 1.0
FAILURES = (grpc.aio.AioRpcError, aiohttp.ClientError, TimeoutError, RuntimeError)
_NUMBERS = count(1)


class _Arrivals:
    """The calls of one load, those under way among them."""

    def __init__(self, ask: AskInto) -> None:
        self.calls: list[Timing] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.failed = 0
        self._ask = ask

    async def arrive(self, load: Load, group: asyncio.TaskGroup) -> None:
        """Call in the load's rhythm, until cancelled; whoever wakes late catches up."""
        began = monotonic()
        for number in count():
            await asyncio.sleep(began + number * load.answer_seconds / load.streams - monotonic())
            self.tasks.append(group.create_task(self._call()))

    async def _call(self) -> None:
        timing = Timing(f"what is {next(_NUMBERS)}?")
        self.calls.append(timing)
        try:
            await self._ask(timing.question, timing)
        except FAILURES:
            self.failed += 1
            self.calls.remove(timing)

    def cut_off(self) -> None:
        """Whoever has no first token yet has waited until now at least."""
        now = monotonic()
        for call in self.calls:
            call.first_token = call.first_token or now
        for task in self.tasks:
            task.cancel()


async def open_loop(load: Load, ask: AskInto, footprint: Footprint) -> Window:
    """Ask `load.streams` times in the time of one answer, so that as many run where none is slowed down.

    When the window is over, what runs may go on for one answer and a second, then it is cut off. A call that
    fails is counted and not measured.
    """
    arrivals = _Arrivals(ask)
    async with asyncio.TaskGroup() as group:
        arriving = group.create_task(arrivals.arrive(load, group))
        await asyncio.sleep(WARM_ANSWERS * load.answer_seconds)
        began, before = monotonic(), footprint.spent()
        await asyncio.sleep(load.seconds)
        ended, after, memory = monotonic(), footprint.spent(), footprint.memory()
        arriving.cancel()
        await asyncio.wait(arrivals.tasks, timeout=load.answer_seconds + _LINGER_SECONDS)
        arrivals.cut_off()
    return Window(arrivals.calls, began, ended, after - before, arrivals.failed, memory)
