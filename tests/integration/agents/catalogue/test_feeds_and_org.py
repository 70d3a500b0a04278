"""News feeds, and the org-mode inbox."""

import orjson
import pytest

from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.integration.agents.catalogue.playing import Scene, Step, play

FEED = {"feed_id": "f1", "feed_name": "Sea news", "feed_url": "https://sea.example/feed"}
LINE = {"line_index": 3, "expected_text": "* NEXT buy milk"}


@pytest.mark.agent("rss")
async def test_rss_reads_by_itself_and_asks_before_it_changes_the_feeds(
    service: Service, backend: FakeToolService
) -> None:
    article = {"article_id": "a1", "title": "A whale", "url": "https://sea.example/whale"}
    steps = (
        Step("list_rss_feeds", {}, {"feeds": [FEED], "count": 1}),
        Step("get_rss_articles", {"feed_id": "f1", "limit": 5}, {"articles": [article]}),
        Step("search_rss_feeds", {"query": "whale"}, {"articles": [article]}),
        Step("refresh_rss_feed", {"feed_id": "f1"}, {"message": "begun"}, asked=True),
        Step("add_rss_feed", {"feed_url": "https://sky.example/feed"}, {"feed_id": "f2"}, asked=True),
        Step("delete_rss_feed", {"feed_id": "f1"}, {"message": "gone"}, asked=True),
    )
    await play(service, backend, Scene("rss", "What is new? Then change Sea for Sky.", "A whale.", steps))


@pytest.mark.agent("org_inbox")
async def test_org_inbox_looks_before_it_changes_and_asks_for_each_change(
    service: Service, backend: FakeToolService
) -> None:
    items = {"items": [{"line_index": 3, "text": "* NEXT buy milk", "todo_state": "NEXT"}]}
    steps = (
        Step("current_time", {}),
        Step("list_org_inbox_items", {}, items),
        Step("toggle_org_inbox_item", LINE, {"new_line": "* DONE buy milk"}, asked=True),
        Step("add_org_inbox_item", {"text": "buy tea", "kind": "todo"}, {"message": "added"}, asked=True),
        Step("archive_org_inbox_done", {}, {"message": "1 archived"}, asked=True),
    )
    scene = Scene("org_inbox", "Milk is done; add tea and tidy up.", "Tea is all that is left.", steps)
    await play(service, backend, scene)


@pytest.mark.agent("org_project")
async def test_org_project_shows_the_entry_and_asks_before_it_writes(
    service: Service, backend: FakeToolService
) -> None:
    values = {"text": "Harbour: it is open", "kind": "todo", "schedule": "<2026-05-01 Fri>"}
    steps = (Step("add_org_inbox_item", values, {"message": "added"}, asked=True),)
    preview = "- text: Harbour: it is open\n- kind: todo\n- schedule: <2026-05-01 Fri>"
    says = (
        Script(tokens=(orjson.dumps({"values": values, "question": ""}).decode(),)),
        Script(tokens=("It is in ", "the inbox.")),
    )
    asking = ("permission_requested", "status", "permission_resolved", "status")
    log = ("status", "agent_update", "content", *asking, "tool_call", "tool_result", "content", "complete")
    answer = f"{preview}\n\nIt is in the inbox."
    scene = Scene(
        "org_project", "A project: the harbour, open by 1 May 2026.", answer, steps, says=says, log=log
    )
    await play(service, backend, scene)
