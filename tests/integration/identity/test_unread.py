"""What those may hold whose requests have not come: nothing, unless they are known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.identity import AuthenticatedService, Issuer, authenticated_service
from tests.harness.service import chat_request, text_of
from tests.integration.flood.frames import HELLO, call

MOST = 2
CALLS = range(1, 2 * MOST + 4, 2)


@pytest.fixture
async def narrow(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, issuer: Issuer
) -> AsyncIterator[AuthenticatedService]:
    """A closed service that waits for the requests of few calls, and for long."""
    limits = {"max_unread_calls": MOST, "request_seconds": 60.0}
    async with authenticated_service(dsn, provider, tmp_path, issuer, server=limits) as service:
        yield service


@asynccontextmanager
async def headers_only(port: int, **headers: str) -> AsyncIterator[asyncio.StreamReader]:
    """Calls that are more than may wait, and of which nothing comes but the headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HELLO + b"".join(call(stream, headers=headers) for stream in CALLS))
        yield reader
    finally:
        writer.close()


async def test_who_is_not_known_is_refused_by_headers_alone_and_holds_no_place(
    narrow: AuthenticatedService,
) -> None:
    ann = narrow.stub_of(narrow.tokens["ann"])
    for headers in ({}, {"authorization": "Bearer wrong"}):
        async with headers_only(narrow.port, **headers) as reader, asyncio.timeout(10):
            said = b""
            while said.count(b"grpc-status") < len(CALLS):
                said += (await reader.read(1 << 16)) or pytest.fail("the connection was closed")
            for _ in range(10):
                assert text_of([chunk async for chunk in ann.StreamChat(chat_request())])


async def test_who_is_known_and_sends_nothing_loses_places_to_who_sends(
    narrow: AuthenticatedService,
) -> None:
    ann = narrow.stub_of(narrow.tokens["ann"])
    headers = {"authorization": f"Bearer {narrow.tokens['bob']}"}
    async with headers_only(narrow.port, **headers) as reader, asyncio.timeout(10):
        said = b""
        while b"grpc-status" not in said:
            said += (await reader.read(1 << 16)) or pytest.fail("the connection was closed")
        for _ in range(10):
            assert not (await ann.ListTasks(pb.ListTasksRequest())).tasks
