"""GetServerInfo tells what callers may rely on."""

import pytest

from main import VERSION
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.catalogue import agent_named
from tests.harness.service import Service, running_service, text_of


async def info(service: Service) -> pb.GetServerInfoResponse:
    return await service.stub.GetServerInfo(pb.GetServerInfoRequest())


async def test_it_tells_the_version_that_health_tells(service: Service) -> None:
    health = await service.stub.HealthCheck(pb.HealthCheckRequest())
    assert (await info(service)).version == health.version == VERSION


async def test_every_agent_it_names_answers(service: Service) -> None:
    agents = (await info(service)).agents
    assert "chat" in agents
    for agent in map(agent_named, agents):  # who answers in a form has tests of its own
        if agent.response_schema is None:
            assert text_of(await service.chat(agent_type=agent.name))


@pytest.mark.parametrize("size", [2048, 50_000])
async def test_its_largest_request_is_the_setting(dsn: str, provider: ScriptedProvider, size: int) -> None:
    async with running_service(dsn, provider, server={"max_receive_bytes": size}) as service:
        assert (await info(service)).max_request_bytes == size


async def test_what_its_features_promise_is_so(service: Service) -> None:
    """Background runs and heartbeats have tests of their own."""
    assert list((await info(service)).features) == [
        "resume_stream",
        "structured_chunks",
        "heartbeats",
        "on_disconnect_continue",
        "on_busy",
        "branching",
        "on_saturated_wait",
        "on_saturated_start_task",
        "tasks",
        "request_id",
        "run_limits",
        "usage",
        "daily_budgets",
        "image_attachments",
        "permissions",
        "tools",
        "allowed_tools",
        "permission_grants",
        "retry_from_checkpoint",
    ]
    assert all(chunk.WhichOneof("payload") for chunk in await service.chat())
