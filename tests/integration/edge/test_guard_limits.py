"""The server's own limits of time, behind which no caller and no handler can stay.

Handlers of every kind behind the GuardInterceptor, on both event loops (see conftest).
"""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from orchestrator.interceptors import EdgeLimits
from tests.harness.statuses import error_info, retry_delay
from tests.integration.edge.guarded import (
    CALLS,
    GENERATORS,
    MAKE,
    MOMENTS,
    PATIENCE_SECONDS,
    STANDS_STILL,
    WRITERS,
    Context,
    Handler,
    Kind,
    ended,
    for_each,
    guarded,
    handler_of,
    open_call,
)

LIMIT = 0.2
ABORT_SECONDS = 1.0
"""An abort, too, is given up when nobody reads it."""


async def test_the_server_ends_what_takes_longer_than_its_limit() -> None:
    async def check(kind: Kind, first: int) -> None:
        closed = asyncio.Event()

        async def takes_for_ever(_: Context) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                closed.set()

        limits = EdgeLimits(LIMIT, 30.0, 30.0) if kind in CALLS else EdgeLimits(30.0, LIMIT, 30.0)
        async with guarded(handler_of(kind, takes_for_ever, first), limits) as server:
            end = await server.ended(kind)
        assert len(end.replies) == first
        assert end.failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        info = error_info(end.failure)
        assert (info.reason, dict(info.metadata)) == ("DEADLINE_EXCEEDED", {"seconds": "0.2"})
        assert retry_delay(end.failure) is None
        assert closed.is_set()

    await for_each(MOMENTS, check)


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
async def test_a_time_out_of_the_handlers_own_is_not_taken_for_the_servers(kind: Kind, first: int) -> None:
    async def gives_up(_: Context) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    async with guarded(handler_of(kind, gives_up, first)) as server:
        end = await server.ended(kind)
    assert end.failure.code() is grpc.StatusCode.INTERNAL
    assert error_info(end.failure).reason == "INTERNAL"


SLOW_READERS = EdgeLimits(30.0, 30.0, slow_reader_seconds=LIMIT)


def endless(kind: Kind, closed: asyncio.Queue[bool]) -> Handler:
    """A handler that never runs out of replies; `closed` says whether its own task closed it."""

    async def yields(*_: object) -> AsyncIterator[bytes]:
        task = asyncio.current_task()
        try:
            while True:
                yield b"more"
        finally:
            closed.put_nowait(asyncio.current_task() is task)

    async def writes(_: object, context: Context) -> None:
        try:
            while True:
                await context.write(b"more")
        finally:
            closed.put_nowait(True)

    return MAKE[kind](yields if kind in GENERATORS else writes)


async def dropped_in_time(kind: Kind, _: int) -> None:
    """One stands still beside two who read, one of them on the same connection."""
    closed: asyncio.Queue[bool] = asyncio.Queue()
    async with (
        guarded(endless(kind, closed), SLOW_READERS) as server,
        server.another_channel(STANDS_STILL) as still,
    ):
        readers = [aiter(server.call(kind)), aiter(open_call(still, kind))]
        slow = open_call(still, kind)
        async with asyncio.timeout(LIMIT + ABORT_SECONDS + 1.0):
            await anext(aiter(slow))
            waiting = asyncio.ensure_future(closed.get())
            while not waiting.done():
                for reader in readers:
                    assert await anext(reader) == b"more"
        assert waiting.result()
        for reader in readers:
            assert await anext(reader) == b"more"
        failure = (await ended(slow)).failure
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(failure).reason == "SLOW_READER"


async def test_who_does_not_read_is_dropped_in_time_and_harms_nobody() -> None:
    await for_each([(kind, 0) for kind in GENERATORS], dropped_in_time)


async def test_who_does_not_read_what_a_handler_writes_for_itself_is_dropped_too() -> None:
    await for_each([(kind, 0) for kind in WRITERS], dropped_in_time)


async def test_who_does_not_read_even_the_first_message_is_dropped_with_a_status() -> None:
    async def check(kind: Kind, _: int) -> None:
        async with (
            guarded(endless(kind, asyncio.Queue()), SLOW_READERS) as server,
            server.another_channel(STANDS_STILL) as still,
        ):
            slow = open_call(still, kind)
            await slow.initial_metadata()
            async with asyncio.timeout(LIMIT + ABORT_SECONDS + 1.0):
                await server.guard.idle()
            async with asyncio.timeout(1.0):
                failure = (await ended(slow)).failure
        assert error_info(failure).reason == "SLOW_READER"

    await for_each([(kind, 0) for kind in GENERATORS], check)


async def test_who_never_reads_again_keeps_no_handler() -> None:
    """Neither for its last message nor for the abort, should that wait for the reader, too."""

    async def check(kind: Kind, _: int) -> None:
        closed: asyncio.Queue[bool] = asyncio.Queue()
        async with (
            guarded(endless(kind, closed), SLOW_READERS) as server,
            server.another_channel(STANDS_STILL) as still,
        ):
            await anext(aiter(open_call(still, kind)))
            async with asyncio.timeout(LIMIT + ABORT_SECONDS + 1.0):
                await server.guard.idle()
            assert closed.get_nowait()

    await for_each([(kind, 0) for kind in GENERATORS], check)


@pytest.mark.parametrize("kind", GENERATORS)
async def test_a_stream_that_nobody_reads_is_still_ended_by_the_limit_of_streams(kind: Kind) -> None:
    closed: asyncio.Queue[bool] = asyncio.Queue()
    async with (
        guarded(endless(kind, closed), EdgeLimits(30.0, LIMIT, 30.0)) as server,
        server.another_channel(STANDS_STILL) as still,
    ):
        slow = open_call(still, kind)
        await anext(aiter(slow))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await closed.get()
        failure = (await ended(slow)).failure
    assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_info(failure).reason == "DEADLINE_EXCEEDED"
