"""Calls that are refused."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.harness.statuses import error_info


async def refused(call: Awaitable[object] | AsyncIterable[object]) -> tuple[str, str]:
    """Code and reason of a call that fails, before any message of it."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await _first(call)
    return raised.value.code().name, error_info(raised.value).reason


async def _first(call: Awaitable[object] | AsyncIterable[object]) -> object:
    if not isinstance(call, AsyncIterable):
        return await call
    async for message in call:
        return message
    return None


UNAUTHENTICATED = ("UNAUTHENTICATED", "UNAUTHENTICATED")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def until_refused(method: Callable[[pb.ListTasksRequest], Awaitable[object]]) -> None:
    """Call until the caller is not known any more."""
    while True:
        try:
            await method(pb.ListTasksRequest())
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                return
            raise
        await asyncio.sleep(0.02)


async def until_let_in(method: Callable[[pb.ListTasksRequest], Awaitable[object]]) -> None:
    """Call until the caller is known."""
    while True:
        with suppress(grpc.aio.AioRpcError):
            await method(pb.ListTasksRequest())
            return
        await asyncio.sleep(0.02)
