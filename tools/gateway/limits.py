"""How many calls are made at the same time: of one run, and in all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from state.models import RunId


class CallLimit:
    """Places for calls; who waits for one is served in order. Of one event loop."""

    def __init__(self, *, in_all: int, of_a_run: int) -> None:
        self._all = asyncio.Semaphore(in_all)
        self._of_a_run = of_a_run
        self._runs: dict[RunId, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def place(self, run_id: RunId) -> AsyncIterator[None]:
        """Hold a place inside the block. The run's own comes first: what waits for it takes no other's."""
        run, users = self._runs.get(run_id, (asyncio.Semaphore(self._of_a_run), 0))
        self._runs[run_id] = (run, users + 1)
        try:
            async with run, self._all:
                yield
        finally:
            self._left(run_id)

    def _left(self, run_id: RunId) -> None:
        run, users = self._runs.pop(run_id)
        if users > 1:
            self._runs[run_id] = (run, users - 1)
