"""Work that goes on beside everything else, owned by a context that ends it."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class BackgroundTask(ABC):
    """Runs one task, named `name`, inside its context. What it does never ends by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def died(self) -> None:
        """Complete, or raise what it died of, when the task has ended nevertheless."""
        if self._task is not None:
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    @abstractmethod
    async def _run(self) -> None: ...
