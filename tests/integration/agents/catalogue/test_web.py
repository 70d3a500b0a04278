"""Agents that read the web."""

import orjson
import pytest

from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.integration.agents.catalogue.playing import Scene, Step, describing, play

SITE = {"url": {"type": "string"}, "max_pages": {"type": "integer"}}
CRAWLS_SITE = describing("crawl_site", {**SITE, "query": {"type": "string"}}, read_only=True, open_world=True)
STORES_SITE = describing("crawl_website_recursive", SITE, open_world=True)
PAGE = Step("crawl_web_content", {"url": "https://h.example"}, {"content": "Built in 1880."}, asked=True)


@pytest.mark.agent("fact_checking")
async def test_fact_checking_searches_by_itself_and_asks_before_it_fetches(
    service: Service, backend: FakeToolService
) -> None:
    hits = {"results": [{"title": "Harbours", "url": "https://h.example", "snippet": "since 1880"}]}
    steps = (
        Step("search_web", {"query": "harbour built"}, hits),
        Step("search_web", {"query": "harbour not built 1880"}, hits),
        PAGE,
        Step("calculator", {"expression": "2026 - 1880"}),
        Step("current_time", {}),
    )
    await play(service, backend, Scene("fact_checking", "It is 146 years old.", "**true**", steps))


@pytest.mark.agent("site_crawl")
async def test_site_crawl_crawls_once_and_then_single_pages(
    service: Service, backend: FakeToolService
) -> None:
    arguments = {"url": "https://h.example", "max_pages": 120, "query": "When was it built?"}
    found = Step("crawl_site", arguments, {"pages": [{"url": "https://h.example/history"}]}, asked=True)
    more = Step("search_and_crawl", {"query": "harbour", "num_results": 2}, {}, asked=True)
    scene = Scene("site_crawl", "When was it built?", "In 1880.", (found, PAGE, more), (CRAWLS_SITE,))
    await play(service, backend, scene)


@pytest.mark.agent("website_crawler")
async def test_website_crawler_looks_what_is_there_and_asks_before_it_stores(
    service: Service, backend: FakeToolService
) -> None:
    arguments = {"url": "https://h.example", "max_pages": 500}
    steps = (
        Step("search_documents", {"query": "h.example"}, {"total_count": 0}),
        Step("crawl_website_recursive", arguments, {"message": "37 pages stored"}, asked=True),
        PAGE,
    )
    scene = Scene("website_crawler", "Store h.example.", "37 pages.", steps, (STORES_SITE,))
    await play(service, backend, scene)


@pytest.mark.agent("research")
async def test_research_looks_at_the_documents_then_searches_by_itself_and_asks_before_it_fetches(
    service: Service, backend: FakeToolService
) -> None:
    hit = {"document_id": "d1", "title": "My notes", "content_preview": "An old harbour."}
    page = {"title": "Harbours", "url": "https://h.example", "snippet": "since 1880"}
    steps = (
        Step("search_documents", {"query": "When was it built?"}, {"results": [hit]}),
        Step("search_org_files", {"query": "When was it built?"}, {}),
        Step("search_web", {"query": "harbour built"}, {"results": [page]}),
        Step(
            "crawl_web_content", {"url": page["url"]}, {"url": page["url"], "content": "In 1880."}, asked=True
        ),
    )
    gaps = {"missing": ["the year"], "queries": ["harbour built"], "read": []}
    reads = {"missing": [], "queries": [], "read": [2]}
    says = (
        *(Script(tokens=(orjson.dumps(gap).decode(),)) for gap in (gaps, reads)),
        Script(tokens=("In 1880 ", "[2].")),
    )
    log = (
        *("status", "agent_update", "plan", "tool_call", "tool_result", "plan", "tool_call", "tool_result"),
        *("plan", "permission_requested", "status", "permission_resolved", "status"),
        *("tool_call", "tool_result", "content", "complete"),
    )
    scene = Scene("research", "When was it built?", "In 1880 [2].", steps, says=says, log=log)
    chunks = await play(service, backend, scene)
    [cited] = orjson.loads(chunks[-1].metadata["citations"])
    assert cited["uri"] == "https://h.example"
    shown = service.provider.ledger[2].body["messages"][-1]["content"]
    assert shown.startswith("[data ")
    assert all(text in shown for text in ("An old harbour.", "since 1880\nIn 1880."))
