"""The table of tools, held against the contract."""

import json
from collections import Counter

import pytest

from protos import tool_service_pb2 as pb
from state.models import ConversationId, Owner, RunId
from tests.harness.tools import fitting_arguments
from tools.arguments import checked
from tools.base import Tool, ToolContext
from tools.gateway.codec import RowCodec
from tools.gateway.schema import SERVICE, UnknownFieldError, method_of, parameters_of, tool_of
from tools.policy import PolicyContext as Context
from tools.policy import Verdict, verdict
from tools.schemas import usable
from tools.table.row import Row, snake_case
from tools.table.typed import TABLE

DESCRIBED = {"DescribeTools", "InvokeTool"}
TOOLS = [tool_of(row, max_seconds=1000.0, max_result_bytes=1 << 20) for row in TABLE]

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


def test_every_typed_rpc_has_exactly_one_row() -> None:
    assert Counter(row.rpc for row in TABLE) == Counter(set(SERVICE.methods_by_name) - DESCRIBED)


def test_no_two_tools_have_one_name() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) == 29


@pytest.mark.parametrize(
    ("rpc", "name"),
    [
        ("SearchRSSFeeds", "search_rss_feeds"),
        ("GetRSSArticles", "get_rss_articles"),
        ("AddRSSFeed", "add_rss_feed"),
        ("SearchWeb", "search_web"),
    ],
)
def test_a_tool_is_named_as_its_rpc(rpc: str, name: str) -> None:
    assert snake_case(rpc) == name


@each_row
def test_who_asks_is_filled_in_and_never_the_models_to_say(row: Row) -> None:
    method = method_of(row)
    assert "user_id" in row.filled
    shown = parameters_of(method.input_type, row)["properties"]
    assert not {"user_id", "conversation_id"} & shown.keys()
    assert {*shown, *row.filled} == set(method.input_type.fields_by_name)


@each_row
def test_what_is_hidden_is_in_the_response(row: Row) -> None:
    RowCodec(row)
    assert row.hidden <= set(method_of(row).output_type.fields_by_name)


def test_who_asks_is_never_what_arguments_say() -> None:
    row = next(row for row in TABLE if row.rpc == "SearchConversationCache")
    asked = ToolContext(Owner("ann"), RunId("r"), ConversationId("c7"), "t")
    body = RowCodec(row).request({"query": "q", "user_id": "eve", "conversation_id": "c1"}, asked)
    sent = pb.CacheSearchRequest.FromString(body)
    assert (sent.user_id, sent.conversation_id) == ("ann", "c7")


def test_a_row_that_does_not_fit_the_contract_is_found() -> None:
    with pytest.raises(UnknownFieldError):
        method_of(Row("SearchNothing", "", ""))
    with pytest.raises(UnknownFieldError):
        parameters_of(SERVICE.methods_by_name["SearchWeb"].input_type, Row("SearchWeb", "", "", needs=("q",)))
    with pytest.raises(UnknownFieldError):
        RowCodec(Row("SearchWeb", "", "", hidden=frozenset({"html"})))


@each_tool
def test_a_schema_is_valid_and_takes_what_fits(tool: Tool) -> None:
    usable(tool.parameters)
    for all_of_them in (False, True):
        arguments = fitting_arguments(tool, all_of_them=all_of_them)
        assert checked(tool, json.dumps(arguments)) == arguments


@each_tool
def test_every_argument_but_plain_names_is_explained_to_the_model(tool: Tool) -> None:
    plain = {"query", "text", "tags", "kind", "entity_id"}
    properties = tool.parameters["properties"]
    assert [n for n, schema in properties.items() if "description" not in schema and n not in plain] == []
    assert len(tool.description) > 20


@each_tool
def test_every_argument_has_bounds(tool: Tool) -> None:
    for schema in tool.parameters["properties"].values():
        bounds = {"maxLength", "maximum", "maxItems", "maxProperties", "enum"}
        assert bounds & schema.keys() or schema["type"] == "boolean"


ASKED = {
    "add_org_inbox_item": "file_write",
    "toggle_org_inbox_item": "file_write",
    "update_org_inbox_item": "file_write",
    "set_org_inbox_schedule": "file_write",
    "apply_org_inbox_tags": "file_write",
    "archive_org_inbox_done": "file_write",
    "append_org_inbox_text": "file_write",
    "add_rss_feed": "rss_write",
    "refresh_rss_feed": "rss_write",
    "delete_rss_feed": "rss_write",
    "generate_image": "image_generation",
    "search_web": "web_search",
    "crawl_web_content": "web_crawl",
    "search_and_crawl": "web_crawl",
}


def test_what_is_asked_about_is_what_the_contract_says() -> None:
    asked = {t.name: t.operation_type for t in TOOLS if verdict(t, Context()) is Verdict.ASK}
    assert asked == ASKED


def test_what_destroys_spends_or_may_be_repeated_is_named_here() -> None:
    assert [tool.name for tool in TOOLS if tool.destructive] == ["delete_rss_feed"]
    assert [tool.name for tool in TOOLS if tool.spends] == ["generate_image"]
    repeated = {tool.name for tool in TOOLS if tool.idempotent}
    assert repeated == {"refresh_rss_feed", "delete_rss_feed"}


def test_limits_of_the_service_are_above_those_of_a_tool() -> None:
    tool = tool_of(TABLE[0], max_seconds=1.0, max_result_bytes=100)
    assert (tool.timeout_seconds, tool.max_result_bytes) == (1.0, 100)
