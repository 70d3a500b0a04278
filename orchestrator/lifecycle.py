"""What a process waits for: to be told to stop, or the death of something it cannot work without."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from state.errors import OrchestratorError


class PartDiedError(Exception):
    """A part of the process has ended by itself; the message says which."""


@dataclass(frozen=True, slots=True)
class StopSignals:
    """`requested` is set by the first SIGTERM or SIGINT, `hurried` by the second: finish nothing, leave."""

    requested: asyncio.Event
    hurried: asyncio.Event

    def received(self) -> None:
        (self.hurried if self.requested.is_set() else self.requested).set()


def stop_signals() -> StopSignals:
    """From now on the signals do not end the process, they set these events."""
    signals = StopSignals(asyncio.Event(), asyncio.Event())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.received)
    return signals


class StoppedError(Exception):
    """The process was told to stop before it had started."""


@asynccontextmanager
async def interruptible(stop: asyncio.Event) -> AsyncIterator[None]:
    """Leave the block as soon as `stop` is set.

    Raises:
        StoppedError: It was.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.create_task(stop.wait(), name="stop-while-starting")
    try:
        async with asyncio.timeout(None) as scope:

            def leave(_: object) -> None:
                scope.reschedule(loop.time())

            stopping.add_done_callback(leave)
            try:
                yield
            finally:
                stopping.remove_done_callback(leave)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise StoppedError("stopped before it had started") from error
    finally:
        stopping.cancel()


async def until_stopped(stop: asyncio.Event, deaths: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
    """Return when `stop` is set.

    Raises:
        PartDiedError: One of `deaths`, each named for its part, came first.
    """
    stopping = asyncio.ensure_future(stop.wait())
    watched: dict[asyncio.Future[object], str] = {
        asyncio.ensure_future(died()): name for name, died in deaths.items()
    }
    everything: set[asyncio.Future[object]] = {stopping, *watched}  # type: ignore[arg-type]
    try:
        done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in everything:
            future.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
    for future in done & watched.keys():
        error = future.exception()
        why = f": {error.message}" if isinstance(error, OrchestratorError) else ""
        raise PartDiedError(f"{watched[future]} has ended{why}") from error


async def ended_after_cancel(future: asyncio.Future[Any]) -> None:
    """Cancel a task and return when it has ended, however it did."""
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)
