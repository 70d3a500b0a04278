"""Services whose models have prices, and what their tables say of usage."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import orjson

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.configured import with_file
from tests.harness.retention import connected
from tests.harness.service import Service

PRICED = """
currency = "EUR"

[providers.acme]
kind = "openai"
base_url = "{url}"

[models.m]
provider = "acme"
context_tokens = 8192
prices = {{ input_micros = 1_000_000, cached_input_micros = 500_000, output_micros = 10_000_000 }}

[classes]
chat = ["m"]
"""
"""A token read costs a micro, half of that from the cache; one written costs ten."""

CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)


@asynccontextmanager
async def service_with_file(
    dsn: str, provider: ScriptedProvider, folder: Path, text: str = PRICED, /, **groups: Mapping[str, object]
) -> AsyncIterator[Service]:
    """A service with the models of a provider file, in which `{url}` is the provider's address."""
    file = folder / "providers.toml"
    file.write_text(text.format(url=provider.base_url))
    async with with_file(dsn, provider, file, **groups) as service:
        yield service


async def stored_usage(dsn: str, run_id: str) -> dict[str, Any]:
    """The one model's share, as the run's row has it."""
    async with connected(dsn) as connection:
        text = await connection.fetchval("SELECT usage FROM runs WHERE run_id = $1", UUID(run_id))
    (part,) = orjson.loads(text)["by_model"]
    return dict(part)


async def until_text(call: "grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]") -> str:
    """Read until there is text; the run's id."""
    async for chunk in call:
        if chunk.content.text:
            return chunk.run_id
    raise AssertionError("no text came")


async def resumed(service: Service, run_id: str) -> list[pb.ChatChunk]:
    """A run's whole log, once it has ended well."""
    request = pb.ResumeStreamRequest(user_id="ann", run_id=run_id)
    return [chunk async for chunk in service.stub.ResumeStream(request, timeout=20)]


async def used(service: Service, user_id: str = "ann", **span: Any) -> pb.GetUsageResponse:
    return await service.stub.GetUsage(pb.GetUsageRequest(user_id=user_id, **span))
