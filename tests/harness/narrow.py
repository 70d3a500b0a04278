"""A service whose only provider takes few calls at a time, so that there is a line."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.configured import with_file
from tests.harness.service import Service, chat_request

FILE = """
[providers.small]
kind = "openai"
base_url = "{url}"
limits = {{ max_concurrency = {calls} }}

[models.m]
provider = "small"
context_tokens = 8192

[classes]
chat = ["m"]
"""
HELD = Script(tokens=("one", " two"), hold_after=1)

Call = grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]


@asynccontextmanager
async def narrow(
    dsn: str, provider: ScriptedProvider, folder: Path, *, calls: int = 1, **groups: Mapping[str, object]
) -> AsyncIterator[Service]:
    """Its provider takes so many `calls` at a time; `groups` change settings, as in `running_service`."""
    file = folder / "providers.toml"
    file.write_text(FILE.format(url=provider.base_url, calls=calls))
    groups["run"] = {"reap_seconds": 0.1, "retry_seconds": 0.1, **groups.get("run", {})}
    async with with_file(dsn, provider, file, **groups) as service:
        yield service


async def answering(service: Service, **fields: object) -> Call:
    """A call that has the provider's only place."""
    service.provider.enqueue(HELD)
    call = service.stub.StreamChat(chat_request("held", **fields))
    async for chunk in call:
        if chunk.content.text:
            return call
    raise AssertionError("no text came")


async def in_line(service: Service, query: str = "waits", **fields: object) -> tuple[Call, pb.ChatChunk]:
    """A call that stands in line, and what it was told of that."""
    call = service.stub.StreamChat(chat_request(query, **fields))
    async for chunk in call:
        if chunk.status.queue_position:
            return call, chunk
    raise AssertionError("it was never in line")


def said(provider: ScriptedProvider) -> list[str]:
    """What the provider was asked, in the order of the calls."""
    return [call.body["messages"][-1]["content"] for call in provider.ledger]
