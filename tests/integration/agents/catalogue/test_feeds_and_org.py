"""News feeds, and the org-mode inbox."""

import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, text_of
from tests.harness.tooled import decide, pending, rest
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


BLOCK = """\
* PROJECT Harbour :sea:work:
DEADLINE: <2026-05-01 Fri>
  It is open.
** TODO Call the port
** TODO Buy a rope"""


@pytest.mark.agent("org_project")
async def test_org_project_shows_the_block_with_its_tasks_and_asks_before_it_writes(
    service: Service, backend: FakeToolService
) -> None:
    values = {
        "title": "Harbour",
        "outcome": "It is open.",
        "target_date": "<2026-05-01 Fri>",
        "tags": ":sea:work:",
        "tasks": "Call the port\nBuy a rope",
    }
    steps = (Step("append_org_inbox_text", {"text": BLOCK}, {"message": "added"}, asked=True),)
    says = (
        Script(tokens=(orjson.dumps({"values": values, "question": ""}).decode(),)),
        Script(tokens=("It is in ", "the inbox.")),
    )
    asking = ("permission_requested", "status", "permission_resolved", "status")
    log = ("status", "agent_update", "content", *asking, "tool_call", "tool_result", "content", "complete")
    answer = f"{BLOCK}\n\nIt is in the inbox."
    scene = Scene(
        "org_project", "A project: the harbour, open by 1 May 2026.", answer, steps, says=says, log=log
    )
    await play(service, backend, scene)


async def test_org_project_asks_for_what_is_missing_and_changes_what_was_refused(
    service: Service, backend: FakeToolService
) -> None:
    def reads(question: str = "", **values: str) -> Script:
        fields = ("title", "outcome", "target_date", "tags", "tasks")
        said = {name: values.get(name) for name in fields}
        return Script(tokens=(orjson.dumps({"values": said, "question": question}).decode(),))

    async def says(query: str, *scripts: Script) -> list[pb.ChatChunk]:
        service.provider.enqueue(*scripts)
        return await service.chat(query, agent_type="org_project", conversation_id="c1")

    assert (
        text_of(await says("A project: garden", reads("When is it done?", title="Garden")))
        == "When is it done?"
    )
    shown = await says("When it blooms, next week.", reads(outcome="It blooms.", target_date="next week"))
    assert text_of(shown).startswith("This is still needed:\n- target_date")
    shown = await says("No day then.", reads(target_date=""))
    assert text_of(shown) == "* PROJECT Garden\n  It blooms."
    [permission] = await pending(service)
    service.provider.enqueue(Script(tokens=("What should be different?",)))
    await decide(service, permission, "denied")
    await rest(service, shown[0].run_id)
    again = await says("First dig.", reads(tasks="Dig"))
    assert text_of(again) == "* PROJECT Garden\n  It blooms.\n** TODO Dig"
    assert [call.method for call in backend.ledger.calls if call.method != "DescribeTools"] == []
