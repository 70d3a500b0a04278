"""Calls that are refused."""

from collections.abc import AsyncIterable, Awaitable

import grpc
import pytest

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
INVALID = ("INVALID_ARGUMENT", "INVALID_REQUEST")
