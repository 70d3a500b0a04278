"""A caller who leaves: the handler is cancelled, at once and for good, and what it opened is closed.

Handlers of every kind behind the GuardInterceptor, on both event loops (see conftest).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar
from enum import StrEnum

import grpc
import pytest

from tests.integration.edge.guarded import (
    GENERATORS,
    MAKE,
    MOMENTS,
    PATIENCE_SECONDS,
    STANDS_STILL,
    Call,
    Context,
    Kind,
    ended,
    for_each,
    guarded,
    handler_of,
    open_call,
)

WHOSE = ContextVar("WHOSE", default="nobody's")
"""Can be reset only in the Context in which it was set, so only in the same task."""


class Way(StrEnum):
    """How a caller can leave."""

    CANCEL = "cancels"
    CHANNEL = "closes its channel"
    DEADLINE = "has a deadline"

    @property
    def timeout(self) -> float | None:
        return 0.5 if self is Way.DEADLINE else None


async def leave(way: Way, call: Call, channel: grpc.aio.Channel) -> None:
    if way is Way.CANCEL:
        call.cancel()
    elif way is Way.CHANNEL:
        await channel.close()
    else:
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


class Witness:
    """A handler's body that waits for ever, and what became of it."""

    def __init__(self) -> None:
        self.began, self.closed = asyncio.Event(), asyncio.Event()
        self.ended_by: type[BaseException] | None = None
        self.task: asyncio.Task[object] | None = None
        self.closed_by: asyncio.Task[object] | None = None

    async def __call__(self, _: Context) -> None:
        self.task = asyncio.current_task()
        token = WHOSE.set("the handler's")
        self.began.set()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            self.ended_by = type(error)
            raise
        finally:
            await asyncio.sleep(0)  # a finally that awaits is finished, too
            WHOSE.reset(token)
            self.closed_by = asyncio.current_task()
            self.closed.set()


@pytest.mark.parametrize("way", Way)
async def test_a_caller_who_leaves_cancels_the_handler_and_nothing_swallows_it(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(kind: Kind, first: int) -> None:
        witness = Witness()
        async with guarded(handler_of(kind, witness, first)) as server, server.another_channel() as channel:
            call = open_call(channel, kind, timeout=way.timeout)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await witness.began.wait()
                await leave(way, call, channel)
                await witness.closed.wait()
                await server.guard.idle()
                assert witness.task is not None
                await asyncio.wait({witness.task})
        assert witness.ended_by is asyncio.CancelledError
        assert witness.closed_by is witness.task

    caplog.set_level(logging.DEBUG)
    await for_each(MOMENTS, check)
    messages = [record.getMessage() for record in caplog.records]
    # What grpc says when a cancellation came back to it, and what the guard says when it took one for ours.
    came_back = [message for message in messages if message.startswith("RPC cancelled for servicer method")]
    assert len(came_back) == len(MOMENTS)
    assert not [message for message in messages if message.startswith("rpc ")]


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("kind", GENERATORS)
async def test_a_generator_that_stands_at_its_yield_is_closed_by_its_own_task(kind: Kind, way: Way) -> None:
    """Cancellation does not reach it there: who iterates it must close it."""
    closed: list[object] = []
    standing, all_closed = asyncio.Event(), asyncio.Event()

    async def yields(*_: object) -> AsyncIterator[bytes]:
        task, token = asyncio.current_task(), WHOSE.set("the handler's")
        try:
            yield b"one"
            standing.set()
            while True:
                yield b"more"
        finally:
            WHOSE.reset(token)
            closed.append(asyncio.current_task() is task)
            all_closed.set()

    async with guarded(MAKE[kind](yields)) as server, server.another_channel(STANDS_STILL) as channel:
        call = open_call(channel, kind, timeout=way.timeout)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await anext(aiter(call)) == b"one"
            await standing.wait()
            await leave(way, call, channel)
            await all_closed.wait()
            await server.guard.idle()
    assert closed == [True]


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
async def test_a_server_that_stops_leaves_no_handler_behind(kind: Kind, first: int) -> None:
    witness = Witness()
    async with guarded(handler_of(kind, witness, first)) as server:
        call = server.call(kind)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await witness.began.wait()
            await server.server.stop(None)
            await server.guard.idle()
        assert (await ended(call)).failure.code() is grpc.StatusCode.UNAVAILABLE
    assert witness.ended_by is asyncio.CancelledError
    assert witness.closed_by is witness.task


@pytest.mark.parametrize("kind", GENERATORS)
async def test_a_caller_who_leaves_while_it_is_written_to_is_no_error_of_ours(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    standing = asyncio.Event()

    async def yields(*_: object) -> AsyncIterator[bytes]:
        yield b"one"
        standing.set()
        while True:
            yield b"more"

    async with guarded(MAKE[kind](yields)) as server, server.another_channel(STANDS_STILL) as channel:
        call = open_call(channel, kind)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await anext(aiter(call)) == b"one"
            await standing.wait()
            call.cancel()
            await server.guard.idle()
    # grpc's own complaint is not heard: telemetry.logs turns its logger off.
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("orchestrator")]
