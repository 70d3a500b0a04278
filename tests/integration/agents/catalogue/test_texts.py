"""Agents that judge, shape and write texts."""

import pytest

from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.integration.agents.catalogue.playing import Scene, Step, play

FOUND = Step(
    "search_documents",
    {"query": "harbour", "limit": 5},
    {"results": [{"document_id": "d1", "title": "The harbour", "content_preview": "It was dark."}]},
)
ABOUT = Step("get_document", {"document_id": "d1"}, {"document_id": "d1", "title": "The harbour"})
READ = Step(
    "get_document_content", {"document_id": "d1"}, {"document_id": "d1", "content": "It was dark. ..."}
)
EARLIER = Step(
    "search_conversation_cache",
    {"query": "prices"},
    {"entries": [{"content": "Tea 3, milk 2"}], "cache_hit": True},
)
SEARCHED = Step(
    "search_web",
    {"query": "harbour history"},
    {"results": [{"title": "Harbours", "url": "https://h.example"}]},
    asked=True,
)
FETCHED = Step("crawl_web_content", {"url": "https://h.example"}, {"content": "Built in 1880."}, asked=True)


@pytest.mark.agent("content_analysis")
async def test_content_analysis_reads_the_whole_text(service: Service, backend: FakeToolService) -> None:
    scene = Scene("content_analysis", "Is the harbour essay sound?", "It is not.", (FOUND, ABOUT, READ))
    await play(service, backend, scene)


@pytest.mark.agent("story_analysis")
async def test_story_analysis_finds_the_story_and_reads_it(
    service: Service, backend: FakeToolService
) -> None:
    await play(service, backend, Scene("story_analysis", "What of my story?", "It drags.", (FOUND, READ)))


@pytest.mark.agent("data_formatting")
async def test_data_formatting_finds_the_data_and_calculates(
    service: Service, backend: FakeToolService
) -> None:
    steps = (EARLIER, Step("calculator", {"expression": "3 + 2"}))
    scene = Scene("data_formatting", "The prices as a table", "| tea | 3 |\n| milk | 2 |", steps)
    await play(service, backend, scene)
    assert service.provider.ledger[0].body["temperature"] == 0


@pytest.mark.agent("report_formatting")
async def test_report_formatting_fills_a_template_from_findings(
    service: Service, backend: FakeToolService
) -> None:
    steps = (FOUND, READ, EARLIER, Step("current_time", {}))
    await play(service, backend, Scene("report_formatting", "A report, please.", "# Report", steps))


@pytest.mark.agent("podcast_script")
async def test_podcast_script_asks_before_it_looks_at_the_web(
    service: Service, backend: FakeToolService
) -> None:
    steps = (FOUND, READ, SEARCHED, FETCHED)
    await play(service, backend, Scene("podcast_script", "Harbours, spoken.", "Dark water.\n---", steps))


@pytest.mark.agent("substack")
async def test_substack_asks_before_it_looks_at_the_web(service: Service, backend: FakeToolService) -> None:
    await play(service, backend, Scene("substack", "On harbours.", "# Harbours", (FETCHED, SEARCHED, FOUND)))
