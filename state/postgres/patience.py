"""Writing what a run has to write although Postgres is away for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from state.errors import DatabaseUnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_FORGOTTEN_SECONDS = 120.0
"""A process without work learns of no success: a failure so long ago was another outage's."""


class Patience:
    """Takes a step again and again until Postgres is back. One for all writers of a process.

    `seconds` bounds an outage, not a step: it counts from the first failure since something last succeeded,
    so that a run whose log could not be written does not wait once more with its end. Only for steps that
    change nothing when they are taken twice: nobody knows whether the failed one was committed. Once
    `hurried` is set there is no patience any more.
    """

    def __init__(self, seconds: float, hurried: asyncio.Event | None = None) -> None:
        self._seconds = seconds
        self._hurried = hurried or asyncio.Event()
        self._since: float | None = None
        self._failed = 0.0

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        """The step's result.

        Raises:
            DatabaseUnavailableError: Postgres has been away for too long.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                result = await step()
            except DatabaseUnavailableError:
                if self._is_over():
                    raise
            else:
                self._ends()
                return result
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _is_over(self) -> bool:
        now = monotonic()
        if self._since is None or now - self._failed > _FORGOTTEN_SECONDS:
            self._since = now
            logger.warning("postgres is away: runs are held", extra={"seconds": self._seconds})
        self._failed = now
        return self._hurried.is_set() or now - self._since >= self._seconds

    def _ends(self) -> None:
        if self._since is not None:
            logger.warning("postgres is back", extra={"seconds": round(monotonic() - self._since, 1)})
            self._since = None
