"""How many calls are made at the same time."""

import asyncio

import pytest

from state.models import RunId
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import call, options
from tools.gateway.gateway import ToolGateway

RUN = RunId("a" * 32)


@pytest.mark.parametrize(("in_all", "of_a_run", "most"), [(64, 3, 3), (2, 4, 2)])
async def test_a_run_makes_no_more_calls_at_once_than_its_share_and_all(
    backend: FakeToolService, in_all: int, of_a_run: int, most: int
) -> None:
    backend.default("SearchDocuments", Script(hold=True))
    narrow = options(backend.address, max_concurrency=in_all, max_concurrency_per_run=of_a_run)
    async with ToolGateway(narrow) as gateway:
        calls = [asyncio.create_task(call(gateway, "search_documents", run_id=RUN)) for _ in range(8)]
        for done in range(0, 8, most):
            await backend.ledger.arrived(min(8, done + most))
            backend.release()
        assert all(outcome.ok for outcome in await asyncio.gather(*calls))
    assert backend.ledger.most_in_flight == most


async def test_a_run_that_waits_for_its_own_takes_nobody_elses_place(backend: FakeToolService) -> None:
    backend.default("SearchDocuments", Script(hold=True))
    narrow = options(backend.address, max_concurrency=2, max_concurrency_per_run=1)
    async with ToolGateway(narrow) as gateway:
        greedy = [asyncio.create_task(call(gateway, "search_documents", run_id=RUN)) for _ in range(5)]
        await backend.ledger.arrived(1)
        assert (await call(gateway, "get_entity")).ok
        for number in range(1, 6):
            await backend.ledger.arrived(number + (number > 1))
            backend.release()
        assert all(outcome.ok for outcome in await asyncio.gather(*greedy))


async def test_who_finds_no_place_in_time_is_told_so(backend: FakeToolService) -> None:
    backend.script("SearchDocuments", Script(hold=True))
    narrow = options(backend.address, max_concurrency=1, max_seconds=0.3)
    async with ToolGateway(narrow) as gateway:
        first = asyncio.create_task(call(gateway, "search_documents"))
        await backend.ledger.arrived(1)
        second = await call(gateway, "get_entity", seconds=0.05)
        assert second.reason == "DEADLINE_EXCEEDED"
        await first
    assert len(backend.ledger.calls) == 1


async def test_a_cancelled_wait_leaves_no_place_taken(backend: FakeToolService) -> None:
    backend.script("SearchDocuments", Script(hold=True))
    async with ToolGateway(options(backend.address, max_concurrency=1)) as gateway:
        first = asyncio.create_task(call(gateway, "search_documents"))
        await backend.ledger.arrived(1)
        waiting = asyncio.create_task(call(gateway, "get_entity"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        backend.release()
        await first
        assert (await call(gateway, "get_document")).ok
    assert [seen.method for seen in backend.ledger.calls] == ["SearchDocuments", "GetDocument"]
