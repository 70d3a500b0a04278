"""What is called again, how often, and what then happens at the backend."""

import pytest

from providers.breaker import BreakerSettings
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import call, options
from tools.gateway.gateway import ToolGateway
from tools.table.row import Row
from tools.table.typed import TABLE

DOWN = Script(status="UNAVAILABLE")
each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


@each_row
async def test_only_what_reads_or_is_idempotent_is_called_again(
    backend: FakeToolService, gateway: ToolGateway, row: Row
) -> None:
    backend.script(row.rpc, DOWN, DOWN)
    outcome = await call(gateway, row.name)
    repeated = row.read_only or row.idempotent
    assert outcome.ok == repeated
    assert len(backend.ledger.calls) == (3 if repeated else 1)
    assert len({seen.metadata["x-tool-call-id"] for seen in backend.ledger.calls}) == 1


@pytest.mark.parametrize(
    "code", ["RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "NOT_FOUND", "ABORTED"]
)
async def test_only_a_backend_that_cannot_be_reached_is_asked_again(
    backend: FakeToolService, gateway: ToolGateway, code: str
) -> None:
    backend.script("SearchDocuments", Script(status=code))
    assert not (await call(gateway, "search_documents")).ok
    assert len(backend.ledger.calls) == 1


@pytest.mark.parametrize("retries", [0, 1, 4])
async def test_a_call_is_made_again_as_often_as_the_option_says(
    backend: FakeToolService, retries: int
) -> None:
    backend.default("SearchDocuments", DOWN)
    async with ToolGateway(options(backend.address, max_retries=retries)) as gateway:
        assert (await call(gateway, "search_documents")).reason == "TOOL_UNAVAILABLE"
    assert len(backend.ledger.calls) == retries + 1


async def test_no_pause_before_a_repetition_outlasts_the_deadline(backend: FakeToolService) -> None:
    backend.default("SearchDocuments", DOWN)
    async with ToolGateway(options(backend.address, retry_seconds=60.0)) as gateway:
        assert (await call(gateway, "search_documents")).reason == "TOOL_UNAVAILABLE"
    assert len(backend.ledger.calls) == 1


async def test_a_reply_lost_after_the_effect_is_fetched_without_a_second_effect(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    backend.script("DeleteRSSFeed", Script({"feed_id": "f1"}, lost=True))
    outcome = await call(gateway, "delete_rss_feed", {"feed_id": "f1"})
    assert (outcome.ok, outcome.text) == (True, '{"feed_id":"f1"}')
    assert [seen.effect for seen in backend.ledger.calls] == [True, False]


async def test_a_reply_lost_after_an_effect_that_may_not_be_repeated_stays_lost(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    backend.script("AddOrgInboxItem", Script(lost=True))
    outcome = await call(gateway, "add_org_inbox_item")
    assert "It is not known whether" in outcome.text
    assert not outcome.retryable
    assert [seen.effect for seen in backend.ledger.calls] == [True]


async def test_a_repetition_that_the_breaker_refuses_leaves_the_first_failure_standing(
    backend: FakeToolService,
) -> None:
    backend.default("RefreshRSSFeed", DOWN)
    once = BreakerSettings(consecutive_failures=1)
    async with ToolGateway(options(backend.address, breaker=once)) as gateway:
        outcome = await call(gateway, "refresh_rss_feed")
        assert "It is not known whether" in outcome.text
        refused = await call(gateway, "refresh_rss_feed")
    assert "It is not known whether" not in refused.text  # it was not even made
    assert len(backend.ledger.calls) == 1
