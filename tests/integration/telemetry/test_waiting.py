"""The line, providers and questions as they are at a scrape, and runs that end without being executed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.metrics import free_address, samples, scrape
from tests.harness.narrow import answering, narrow
from tests.harness.proxy import TcpProxy
from tests.harness.service import Service, running_service
from tests.harness.tooled import ADDS_MILK, DONE, tooled
from tests.integration.tasks.asking import start

RUNS = ("orchestrator_runs_total", "kind", "outcome", "reason")


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
async def service(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, address: str
) -> AsyncIterator[Service]:
    async with narrow(dsn, provider, tmp_path, metrics={"address": address}) as service:
        yield service


async def value(address: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return dict(samples(await scrape(address), name, *labels))


async def test_runs_that_end_in_line_are_counted_and_so_is_the_wait_of_one_that_is_served(
    service: Service, provider: ScriptedProvider, address: str
) -> None:
    first = await answering(service)
    late = await start(service, queue_timeout=Duration(nanos=300_000_000))
    gone, served = await start(service), await start(service)
    assert await value(address, "orchestrator_queue_depth") == {(): 3}
    assert await value(address, "orchestrator_queue_active") == {(): 4}
    await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=gone.task_id))
    assert await service.run_ended(late.task_id) == "expired"
    provider.release()
    assert [chunk async for chunk in first][-1].HasField("complete")
    assert await service.run_ended(served.task_id) == "succeeded"
    assert await _runs(address, 4) == {
        ("chat", "succeeded", ""): 1,
        ("task", "succeeded", ""): 1,
        ("task", "cancelled", "CANCELLED"): 1,
        ("task", "expired", "DEADLINE_EXCEEDED"): 1,
    }
    found = await scrape(address)
    assert samples(found, "orchestrator_queue_wait_seconds_count", "kind") == {("task",): 1}
    assert samples(found, "orchestrator_queue_wait_seconds_sum")[()] > 0.1
    assert samples(found, "orchestrator_queue_depth") == {}


async def _runs(address: str, count: int) -> dict[tuple[str, ...], float]:
    """The ends of so many runs: a row is there a moment before it is counted."""
    async with asyncio.timeout(5):
        while True:
            found = await value(address, *RUNS)
            if sum(found.values()) >= count:
                return found
            await asyncio.sleep(0.01)


async def test_a_provider_without_room_shows_its_state_its_limit_and_whom_it_refused(
    service: Service, provider: ScriptedProvider, address: str
) -> None:
    states = ("orchestrator_provider_state", "gen_ai_request_model", "state")
    assert await value(address, *states) == {("m", "available"): 1}
    first = await answering(service)
    await start(service)
    assert await value(address, *states) == {("m", "saturated"): 1}
    for name in ("orchestrator_provider_in_flight", "orchestrator_provider_limit"):
        assert await value(address, name, "gen_ai_request_model") == {("m",): 1}
    refused = await value(address, "orchestrator_provider_refusals_total", "reason")
    assert set(refused) == {("concurrency",)}
    provider.release()
    assert [chunk async for chunk in first]


async def test_a_question_is_shown_while_it_waits_and_its_wait_is_counted_when_nobody_answers(
    dsn: str, provider: ScriptedProvider, address: str
) -> None:
    async with (
        FakeToolService() as backend,
        tooled(
            dsn, provider, backend, metrics={"address": address}, tools={"permission_seconds": 1.0}
        ) as service,
    ):
        provider.enqueue(ADDS_MILK, DONE)
        chunks = await service.chat("milk?", agent_type="org_inbox")
        assert await value(address, "orchestrator_permissions_waiting") == {(): 1}
        assert await service.run_ended(chunks[0].run_id, within=10.0) == "succeeded"
        waits = "orchestrator_permission_wait_seconds"
        assert await value(address, f"{waits}_count", "decision") == {("expired",): 1}
        assert 1.0 <= (await value(address, f"{waits}_sum", "decision"))["expired",] < 10.0


async def test_a_database_that_is_away_leaves_out_what_is_in_it_and_nothing_else(
    dsn: str, provider: ScriptedProvider, address: str
) -> None:
    async with (
        TcpProxy.to(dsn) as proxy,
        running_service(proxy.dsn, provider, metrics={"address": address}) as service,
    ):
        await service.chat()
        assert await value(address, "orchestrator_scrape_incomplete") == {}
        assert ("orchestrator_queue_depth", frozenset()) in await scrape(address)
        await proxy.cut()
        found = await scrape(address)
        assert samples(found, "orchestrator_scrape_incomplete") == {(): 1}
        assert ("orchestrator_queue_depth", frozenset()) not in found
        assert samples(found, *RUNS)
        await proxy.restore()
