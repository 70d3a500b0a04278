"""Every typed tool, called through a real connection: as whom, with what, and what the model reads."""

import json
from typing import Any

import pytest

from state.models import ConversationId, Owner, RunId
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import ANN, Told, call, context, fitting_arguments, options
from tools.gateway.gateway import ToolGateway
from tools.table.row import Row
from tools.table.typed import TABLE

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@each_row
async def test_a_tool_is_called_as_the_runs_user_with_the_models_arguments(
    backend: FakeToolService, gateway: ToolGateway, row: Row
) -> None:
    tool = gateway.tool(row.name)
    arguments = fitting_arguments(tool, all_of_them=True)
    asked = context(
        Owner("bob"), run_id=RunId("r" * 32), tool_call_id="t" * 32, request_id="q1", traceparent=TRACE
    )
    outcome = await gateway.call(tool, arguments, asked, Told())
    assert outcome.ok, outcome
    (seen,) = backend.ledger.calls
    ours = {"user_id": "bob", "conversation_id": "c7"}
    assert seen.method == row.rpc
    assert seen.request == {**arguments, **{name: ours[name] for name in row.filled}}
    sent = {k: v for k, v in seen.metadata.items() if k.startswith("x-") or k == "traceparent"}
    assert sent == {
        "traceparent": TRACE,
        "x-request-id": "q1",
        "x-run-id": "r" * 32,
        "x-tool-call-id": "t" * 32,
        "x-user-id": "bob",
    }
    assert seen.seconds_left == pytest.approx(tool.timeout_seconds, rel=0.2)
    assert outcome.untrusted == (row.untrusted or row.open_world)


@each_row
async def test_what_the_model_says_of_who_asks_is_refused_before_the_call(
    backend: FakeToolService, gateway: ToolGateway, row: Row
) -> None:
    arguments = fitting_arguments(gateway.tool(row.name))
    for name in ("user_id", "conversation_id"):
        outcome = await call(gateway, row.name, {**arguments, name: "eve"})
        assert (outcome.ok, outcome.reason) == (False, "INVALID_ARGUMENTS")
    assert backend.ledger.calls == []


async def test_all_tools_are_offered(gateway: ToolGateway) -> None:
    assert [tool.name for tool in await gateway.offered(ANN)] == [row.name for row in TABLE]


@pytest.mark.parametrize(
    ("name", "header"), [("j\u00fcrgen\n", "j%C3%BCrgen%0A"), ("j%C3%BCrgen", "j%25C3%25BCrgen")]
)
async def test_a_name_that_no_header_can_hold_as_it_is_is_percent_encoded_there(
    backend: FakeToolService, gateway: ToolGateway, name: str, header: str
) -> None:
    await call(gateway, "search_documents", owner=Owner(name), conversation_id=ConversationId("\u00e9"))
    (seen,) = backend.ledger.calls
    assert (seen.metadata["x-user-id"], seen.request["user_id"]) == (header, name)


Answer = tuple[str, dict[str, Any], str, str]
"""RPC, fields of its response, what the model reads, and what people do."""

ANSWERS: list[Answer] = [
    (
        "SearchWeb",
        {"results": [{"title": "A", "url": "https://a.example", "snippet": "s"}, {"title": "B"}]},
        '{"results":[{"title":"A","url":"https://a.example","snippet":"s"},{"title":"B"}]}',
        "2 results",
    ),
    (
        "CrawlWebContent",
        {"url": "https://a.example", "content": "text", "html": "<p>text", "metadata": {"lang": "en"}},
        '{"url":"https://a.example","content":"text","metadata":{"lang":"en"}}',
        "done",
    ),
    ("SearchDocuments", {}, "Nothing was found.", "done"),
    ("ArchiveOrgInboxDone", {}, "Done.", "done"),
    ("ArchiveOrgInboxDone", {"archived_count": 3}, '{"archived_count":3}', "done"),
    (
        "SearchRSSFeeds",
        {"feeds": [{}], "articles": [{}, {}]},
        '{"feeds":[{}],"articles":[{},{}]}',
        "1 feeds, 2 articles",
    ),
]


@pytest.mark.parametrize("scripted", ANSWERS, ids=lambda scripted: scripted[0])
async def test_an_answer_is_compact_json_without_what_the_model_need_not_see(
    backend: FakeToolService, gateway: ToolGateway, scripted: Answer
) -> None:
    rpc, answer, text, summary = scripted
    backend.script(rpc, Script(answer))
    outcome = await call(gateway, next(row.name for row in TABLE if row.rpc == rpc))
    assert (outcome.ok, outcome.text, outcome.summary, outcome.truncated) == (True, text, summary, False)


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.rpc in ("AddRSSFeed", "GenerateImage", "ToggleOrgInboxItem")]
)
async def test_a_refusal_inside_an_answer_is_a_failure_told_to_the_model(
    backend: FakeToolService, gateway: ToolGateway, row: Row
) -> None:
    backend.script(
        row.rpc, Script({"success": False, "error": "the line reads otherwise"}), Script({"success": False})
    )
    outcome = await call(gateway, row.name)
    assert (outcome.ok, outcome.text, outcome.reason) == (False, "the line reads otherwise", "TOOL_REFUSED")
    assert (await call(gateway, row.name)).text == "The tool refused, without saying why."


@pytest.mark.parametrize("content", ["plain " * 20_000, "\u20ac" * 50_000, '"\\\n' * 40_000])
async def test_an_answer_above_the_cap_is_cut_where_the_model_can_see_it(
    backend: FakeToolService, gateway: ToolGateway, content: str
) -> None:
    backend.script("GetDocumentContent", Script({"content": content}))
    outcome = await call(gateway, "get_document_content")
    most = gateway.tool("get_document_content").max_result_bytes
    whole = len(json.dumps({"content": content}, ensure_ascii=False, separators=(",", ":")).encode())
    assert outcome.ok
    assert outcome.truncated
    assert most - 100 < len(outcome.text.encode()) <= most
    assert outcome.text.startswith('{"content":"' + content[:1].replace('"', '\\"'))
    assert f" of {whole} bytes]" in outcome.text


async def test_an_address_that_is_not_public_never_reaches_the_backend(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    for url in ("http://169.254.169.254/", "http://2130706433/", "ftp://example.org/"):
        outcome = await call(gateway, "crawl_web_content", {"url": url})
        assert outcome.reason == "INVALID_ARGUMENTS"
        outcome = await call(gateway, "add_rss_feed", {"feed_url": url})
        assert outcome.reason == "INVALID_ARGUMENTS"
    assert backend.ledger.calls == []


async def test_without_the_switch_nothing_is_offered_called_or_connected_to(backend: FakeToolService) -> None:
    async with ToolGateway(options(backend.address, enabled=False)) as gateway:
        assert await gateway.offered(ANN) == []
        assert (await call(gateway, "search_web")).reason == "TOOL_OFF"
    assert backend.ledger.calls == []
