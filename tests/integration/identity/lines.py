"""What is logged of files that are refused, and of others that are taken."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.logs import listening


class Problems(logging.Handler):
    """Keeps the problems of log lines, and what they are about where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(str(getattr(record, "problem", f"{record.getMessage()}")))
        self._more.set()

    async def heard(self, words: str) -> None:
        """Return when a line has these words; lines before it are forgotten."""
        async with asyncio.timeout(10):
            while not any(words in line for line in self.lines):
                self._more.clear()
                await self._more.wait()
        self.lines.clear()


@contextmanager
def problems_of(logger: str) -> Iterator[Problems]:
    """Listen to a logger."""
    with listening(logger, Problems()) as problems:
        yield problems
