"""Something that is done again and again beside a test, and never broken off in its middle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def meanwhile(step: Callable[[], Awaitable[None]], pause: Callable[[], float]) -> AsyncIterator[None]:
    """Do a step after each pause of so many seconds until the block ends; the last one ends before it does.

    What starts a process must not be cancelled: nobody would own a process that is half started.
    """
    stopped = asyncio.Event()

    async def repeat() -> None:
        while not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), pause())
            if not stopped.is_set():
                await step()

    async with asyncio.TaskGroup() as group:
        group.create_task(repeat(), name="meanwhile")
        try:
            yield
        finally:
            stopped.set()
