"""The background probes of a pool: which providers are reached for while they are down."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from providers.gate.prober import BackgroundProbe
from providers.pool.table import Candidate


class Probes:
    """Owns one probe for each gate whose provider's entry wants one, inside its context.

    `follow` says which models there are; before and after the context it only remembers.
    """

    def __init__(self) -> None:
        self._open = False
        self._wanted: dict[tuple[int, int], Candidate] = {}
        self._running: dict[tuple[int, int], BackgroundProbe] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._died: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._open = True
        self._died = asyncio.get_running_loop().create_future()
        self._settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._settle()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._died is not None and self._died.done():
            self._died.exception()  # whoever did not ask is not to be told by the collector

    async def died(self) -> None:
        """Raise what a probe has died of, which none ever should."""
        assert self._died is not None, "enter the context first"
        await asyncio.shield(self._died)

    def follow(self, candidates: Iterable[Candidate]) -> None:
        """These are the models from now on. A probe whose gate and adapter have stayed goes on."""
        wishing = [c for c in candidates if c.endpoint.provider.background_probe]
        # Names that share a gate share its probe: the first one's.
        first = {id(c.gate): c for c in reversed(wishing)}
        self._wanted = {(id(c.gate), id(c.model)): c for c in first.values()}
        self._settle()

    def _settle(self) -> None:
        wanted = self._wanted if self._open else {}
        for key in self._running.keys() - wanted.keys():
            self._running.pop(key).end()
        for key in wanted.keys() - self._running.keys():
            candidate = wanted[key]
            probe = self._running[key] = BackgroundProbe(candidate.gate, candidate.model)
            task = probe.begin()
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._died is None or self._died.done():
            return
        if (error := task.exception()) is not None:
            self._died.set_exception(error)
