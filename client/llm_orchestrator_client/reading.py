"""Reading a run's log to its end over as many calls, connections and replicas as it takes."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

import grpc

from llm_orchestrator_client import errors
from llm_orchestrator_client.events import Event, Failure
from llm_orchestrator_client.options import Patience
from llm_orchestrator_client.position import Position

# What a server says of itself or of what it stands on, not of the run: the same call may succeed, anywhere.
PASSING = frozenset(
    {"DRAINING", "DATABASE_UNAVAILABLE", "OVERLOADED", "SLOW_READER", "STREAM_GAP", "SILENCE"}
)
# Without a reason a status is of no server of ours: the connection broke, or a proxy has reset the stream.
_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


class Source(Protocol):
    """Where a run's events come from."""

    async def open(self, position: Position, seconds: float | None) -> "grpc.aio.UnaryStreamCall[Any, Any]":
        """A call that sends what comes after the position."""
        ...

    async def events(self, message: Any, position: Position) -> list[Event]:  # noqa: ANN401
        """What a message of that call tells."""
        ...


def passing(error: errors.OrchestratorError) -> bool:
    """Whether only this call has failed, and not the run or the request."""
    return error.reason in PASSING if error.reason else error.code in _BROKEN


class Reader:
    """One reader of one run. `seconds`: how long in all; None = as long as it takes."""

    def __init__(
        self, source: Source, position: Position, patience: Patience, *, seconds: float | None = None
    ) -> None:
        self._source = source
        self._position = position
        self._patience = patience
        self._seconds = seconds
        self._until: float | None = None

    async def events(self) -> AsyncGenerator[Event]:
        """The run's events from the position on, each once, without a gap. Close it: `aclosing`.

        A `Failure` is passed on, and then raised as what it stands for.

        Raises:
            OrchestratorError: How the run ended, or why it cannot be read.
            LostError: The stream broke and could not be taken up again.
        """
        waits = _Waits(self._patience)
        self._until = None if self._seconds is None else _now() + self._seconds
        while self._position.end is None:
            try:
                async with aclosing(self._one_call()) as events:
                    async for event in events:
                        waits.begin_anew()
                        yield event
            except errors.OrchestratorError as error:
                if self._position.end is not None or not passing(error) or self._seconds_left() == 0:
                    raise
                await waits.wait(error, self._position, self._seconds_left())
        if isinstance(self._position.end, Failure):
            raise errors.from_detail(self._position.end.error)

    async def _one_call(self) -> AsyncGenerator[Event]:
        call = await self._source.open(self._position, self._seconds_left())
        try:
            self._position.introduce(await self._within(call.initial_metadata) or ())
            while (message := await self._within(call.read)) is not grpc.aio.EOF:
                for event in await self._source.events(message, self._position):
                    if self._position.takes(event):
                        yield event
                if self._position.end is not None and self._position.end.chunk is None:
                    return  # no server has sent it: this call would go on
        except grpc.aio.AioRpcError as error:
            if self._position.end is None:
                raise errors.from_call(error) from error
        finally:
            call.cancel()  # changes nothing once it has ended
        if self._position.end is None:
            raise errors.UnavailableError("the stream ended before its run")

    async def _within(self, read: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        try:
            async with asyncio.timeout(self._patience.silence):
                return await read()
        except TimeoutError as error:
            raise errors.UnavailableError("the stream is silent", reason="SILENCE") from error

    def _seconds_left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - _now())


class _Waits:
    """The pauses between the calls of one reader."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._tries = 0
        self._since: float | None = None

    def begin_anew(self) -> None:
        """Something new was read."""
        self._tries, self._since = 0, None

    async def wait(
        self, error: errors.OrchestratorError, position: Position, seconds_left: float | None
    ) -> None:
        """Wait as long as is due after this failure, which is raised when patience, or the time, is over."""
        patience = self._patience
        self._since = self._since if self._since is not None else _now()
        pause = min(patience.most_delay, patience.first_delay * 2**self._tries) * random.uniform(0.5, 1.0)
        if error.retry_after is not None:
            pause = max(pause, error.retry_after.total_seconds())
        self._tries += 1
        allowed = patience.resume if position.accepted else patience.connect
        if _now() + pause > self._since + allowed:
            if not position.accepted:
                raise error
            raise errors.LostError(f"lost after sequence {position.sequence}: {error}") from error
        if seconds_left is not None and pause >= seconds_left:
            raise errors.DeadlineError("the time is over") from error
        await asyncio.sleep(pause)


def _now() -> float:
    return asyncio.get_running_loop().time()
