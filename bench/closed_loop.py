"""A steady load: streams that ask again as soon as they are answered, and what a window of it shows."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from time import monotonic

from bench.askers import Timing
from bench.series import Ask
from bench.usage import Spent

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """How many streams, of answers of so many tokens, as the provider paces them, measured for how long.

    Streams begin spread over one answer, and warm up for two more.
    """

    streams: int
    tokens: int
    token_seconds: float
    token_characters: int
    seconds: float

    @property
    def answer_seconds(self) -> float:
        return self.tokens * self.token_seconds

    @property
    def unmeasured_seconds(self) -> float:
        """Until the window begins."""
        return 3 * self.answer_seconds


@dataclass(frozen=True, slots=True)
class Window:
    """Every call of a load, the moments between which it was measured, and the CPU time spent meanwhile.

    `failed`: how many further calls ended in an error. `memory`: bytes of the server at the window's end.
    """

    calls: list[Timing]
    began: float
    ended: float
    spent: Spent
    failed: int = 0
    memory: int = 0

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def characters(self) -> int:
        """How many came within the window."""
        return sum(length for _, length in self._arrivals())

    def messages(self) -> int:
        """In how many messages they came."""
        return sum(1 for _ in self._arrivals())

    def first_tokens(self) -> list[float]:
        """Seconds to the first token of each call that was made within the window."""
        return [call.first_token - call.began for call in self.calls if self._covers(call.began)]

    def gaps(self) -> list[float]:
        """Seconds between the messages of one answer."""
        return [
            later - earlier
            for call in self.calls
            for (earlier, _), (later, _) in pairwise(call.arrivals)
            if self._covers(earlier)
        ]

    def _arrivals(self) -> Iterator[tuple[float, int]]:
        return (one for call in self.calls for one in call.arrivals if self._covers(one[0]))

    def _covers(self, moment: float) -> bool:
        return self.began <= moment < self.ended


async def closed_loop(load: Load, ask: Ask, spent: Callable[[], Spent]) -> Window:
    """Put a load on one side.

    Raises:
        ExceptionGroup: A call failed; the others were ended.
    """
    calls: list[Timing] = []
    over = asyncio.Event()

    async def stream(index: int) -> None:
        await asyncio.sleep(load.answer_seconds * index / load.streams)
        while not over.is_set():
            calls.append(await ask(f"what is {next(_NUMBERS)}?"))

    async with asyncio.TaskGroup() as group:
        for index in range(load.streams):
            group.create_task(stream(index))
        await asyncio.sleep(load.unmeasured_seconds)
        began, before = monotonic(), spent()
        await asyncio.sleep(load.seconds)
        ended, after = monotonic(), spent()
        over.set()
    return Window(calls, began, ended, after - before)
