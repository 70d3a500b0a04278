"""How much may come in one call: refused beyond the limit, whatever it is, by a server that goes on."""

import grpc
import pytest

from config.settings import ServerSettings
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service, chat_request, running_service, text_of

GRPC_OWN_BYTES = 600
"""What gRPC itself sends as metadata: path, user agent and the like, each name 32 bytes dearer than it is."""


def hints(size: int) -> dict[str, str]:
    """So many bytes in entries that are small enough."""
    return {f"padding-{at:09}": "p" * min(1 << 20, size - at) for at in range(0, size, 1 << 20)}


async def answers(service: Service, metadata_bytes: int) -> list[grpc.StatusCode]:
    """How four calls with so much metadata end: a limit that is not hard refuses only some."""
    metadata = (("x-padding", "m" * metadata_bytes),)
    calls = [service.stub.HealthCheck(pb.HealthCheckRequest(), metadata=metadata) for _ in range(4)]
    return [await call.code() for call in calls]


@pytest.mark.parametrize("limit", [8192, 50_000])
async def test_metadata_within_the_limit_passes_and_beyond_is_resource_exhausted(
    dsn: str, provider: ScriptedProvider, limit: int
) -> None:
    async with running_service(dsn, provider, server={"max_metadata_bytes": limit}) as service:
        assert await answers(service, limit - GRPC_OWN_BYTES) == [grpc.StatusCode.OK] * 4
        assert await answers(service, limit) == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 4
        assert text_of(await service.chat())


def request_of(size: int) -> pb.ChatRequest:
    """A request of just so many bytes."""
    padding = size
    while (request := chat_request(metadata=hints(padding))).ByteSize() != size:
        padding += size - request.ByteSize()
    return request


async def test_a_request_as_large_as_the_limit_passes_and_a_byte_more_does_not(service: Service) -> None:
    limit = ServerSettings().max_receive_bytes
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.stub.StreamChat(request_of(limit + 1)).read()
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert service.provider.ledger == []
    assert text_of([chunk async for chunk in service.stub.StreamChat(request_of(limit))])
