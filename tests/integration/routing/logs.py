"""What the watch of the agents' files logs."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.logs import listening


class Lines(logging.Handler):
    """The records, and a way to wait for one more of them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self._waiting.put_nowait(record.getMessage())

    async def next(self) -> str:
        """The message of the next record."""
        async with asyncio.timeout(5.0):
            return await self._waiting.get()


@contextmanager
def heard() -> Iterator[Lines]:
    """What is logged of the files inside."""
    with listening("agents.files", Lines()) as lines:
        yield lines
