"""A step that is taken again and again, as long as the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from state.background import BackgroundTask
from state.errors import OrchestratorError

logger = logging.getLogger(__name__)


class Repeated(BackgroundTask):
    """Takes a step every so many seconds. A database that is away is no reason to stop."""

    def __init__(self, name: str, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        super().__init__(name)
        self._seconds = seconds
        self._step = step

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except OrchestratorError as error:
                logger.warning("step failed", extra={"step": self.name, "reason": error.reason})
            await asyncio.sleep(self._seconds)
