"""Each typed RPC through the service's own gateway: it reaches its handler, as whom, and with what."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from llm_orchestrator_client.tool_service import Call, Owned, ToolHandlers, ToolServiceServer
from llm_orchestrator_client.tool_service.rpcs import TOOL_NAMES, WRITING, method_name
from state.models import Owner, RunId
from tests.harness.tools import Told, context, fitting_arguments, options
from tests.harness.tools import call as call_tool
from tests.toolserver.backend import ANYWHERE, SERVICE, TYPED, Recording, empty_answer, request_of
from tests.toolserver.calling import ask, refused
from tools.gateway.gateway import ToolGateway
from tools.table.row import Row
from tools.table.typed import TABLE

each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
each_rpc = pytest.mark.parametrize("rpc", TYPED)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@each_row
async def test_a_tool_reaches_its_handler_as_the_runs_user_with_the_models_arguments(
    gateway: ToolGateway, backend: Recording, row: Row
) -> None:
    backend.owner = "b\u00f6b%"
    backend.is_administrator = _yes  # type: ignore[method-assign]
    tool = gateway.tool(row.name)
    arguments = fitting_arguments(tool, all_of_them=True)
    asked = context(
        Owner("b\u00f6b%"), run_id=RunId("r" * 32), tool_call_id="t" * 32, request_id="q1", traceparent=TRACE
    )
    outcome = await gateway.call(tool, arguments, asked, Told())
    assert outcome.ok, outcome
    (seen,) = backend.seen
    assert seen.name == row.name
    assert isinstance(seen.request, GetMessageClass(SERVICE.methods_by_name[row.rpc].input_type))
    ours = {"user_id": "b\u00f6b%", "conversation_id": "c7"}
    sent = {**arguments, **{name: ours[name] for name in row.filled}}
    assert MessageToDict(seen.request, preserving_proto_field_name=True) == sent
    told = seen.call
    assert (told.user, told.caller, told.call_id) == ("b\u00f6b%", "token 1", "t" * 32)
    assert (told.run_id, told.request_id, told.traceparent) == ("r" * 32, "q1", TRACE)
    assert told.seconds_left() == pytest.approx(tool.timeout_seconds, rel=0.2)


async def _yes(call: Call) -> bool:
    return True


@each_row
async def test_a_tool_whose_handler_is_not_written_is_off(row: Row) -> None:
    async with (
        ToolServiceServer(ToolHandlers(), ANYWHERE) as server,
        ToolGateway(options(server.address)) as gateway,
    ):
        assert (await call_tool(gateway, row.name)).reason == "TOOL_OFF"
        assert row.name not in {tool.name for tool in await gateway.offered(Owner("ann"))}


@pytest.mark.parametrize("rpc", ["DescribeTools", "InvokeTool"])
async def test_without_described_tools_there_is_nothing_of_them(channel: grpc.aio.Channel, rpc: str) -> None:
    assert (await refused(channel, rpc)).code is grpc.StatusCode.UNIMPLEMENTED


class OnlyDeletes(ToolHandlers):
    async def delete_rss_feed(self, call: Call, request: Any) -> Any:
        raise AssertionError("whose it is was not looked up")


async def test_no_feed_is_touched_while_its_owner_cannot_be_looked_up() -> None:
    async with (
        ToolServiceServer(OnlyDeletes(), ANYWHERE) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        assert (await refused(channel, "DeleteRSSFeed")).code is grpc.StatusCode.UNIMPLEMENTED


def test_the_table_of_what_writes_is_the_services_own() -> None:
    assert {row.rpc for row in TABLE if not row.read_only} == WRITING
    assert {row.name for row in TABLE} == TOOL_NAMES
    assert all(callable(getattr(ToolHandlers, method_name(rpc))) for rpc in TYPED)


@each_rpc
async def test_a_request_without_a_user_never_reaches_a_handler(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    ended = await refused(channel, rpc, request_of(rpc, user=""))
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "USER_MISSING")
    assert backend.seen == []


@each_rpc
async def test_bytes_that_are_no_request_are_refused_without_reaching_a_handler(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    ended = await refused(channel, rpc, b"\xff\xff\xff\xffgarbage")
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert backend.seen == []


@pytest.mark.parametrize(
    ("rpc", "field"), [("SearchDocuments", "limit"), ("ToggleOrgInboxItem", "line_index")]
)
async def test_a_negative_count_never_reaches_a_handler(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, field: str
) -> None:
    ended = await refused(channel, rpc, request_of(rpc, "ann", **{field: -1}))
    assert (ended.code, ended.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert backend.seen == []
    await ask(channel, "GenerateImage", request_of("GenerateImage", seed=-1))


def _always(value: Any) -> Callable[[Call, Any], Awaitable[Any]]:
    async def answer(call: Call, request: Any) -> Any:
        return value

    return answer


@pytest.mark.parametrize(
    ("rpc", "wrong"),
    [
        ("SearchWeb", None),
        ("SearchWeb", {"results": []}),
        ("SearchWeb", empty_answer("SearchDocuments")),
        ("GetDocument", empty_answer("GetDocument")),  # whose?
        ("GetDocument", Owned("ann", empty_answer("GetEntity"))),
        ("GetDocument", Owned(None, empty_answer("GetDocument"))),  # type: ignore[arg-type]
        ("AppendOrgInboxText", type(empty_answer("AppendOrgInboxText"))(message="no")),
    ],
)
async def test_an_answer_that_breaks_the_contract_is_not_sent(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, wrong: Any
) -> None:
    backend.answers[method_name(rpc)] = _always(wrong)
    ended = await refused(channel, rpc)
    nobodys = isinstance(wrong, Owned) and wrong.owner is None
    assert ended.code is (grpc.StatusCode.NOT_FOUND if nobodys else grpc.StatusCode.INTERNAL)
