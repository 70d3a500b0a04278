"""The backend's own tools: described, validated and called, by the service's own source of such tools."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import grpc
import pytest
from pydantic import BaseModel, Field, field_validator

from llm_orchestrator_client.tool_service import (
    BearerTokens,
    Call,
    DescribedTools,
    FailedPreconditionError,
    Hints,
    NotFoundError,
    Output,
    Progress,
    Steps,
    ToolDescriptionError,
    ToolHandlers,
    ToolServiceServer,
)
from protos import tool_service_pb2 as pb
from state.models import Owner, RunId
from tests.harness.tools import ANN, Told, context, options
from tests.toolserver.backend import ANYWHERE, TOKEN
from tests.toolserver.calling import ask, invocation, refused
from tools.base import ToolOutcome
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway
from tools.gateway.specs import SpecLimits

LIMITS = SpecLimits(seconds=20.0, max_result_bytes=4000)
ROUTE = {
    "type": "object",
    "properties": {"to": {"type": "string", "minLength": 1}, "stops": {"type": "integer"}},
    "required": ["to"],
    "additionalProperties": False,
}


class Words(BaseModel):
    text: str = Field(description="What to count.", max_length=100)
    times: int = 1
    unit: Literal["words", "letters"] = "words"

    @field_validator("text")
    @classmethod
    def not_empty(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("there is no text")
        return text


class Shop:
    """A backend's tools, and what they were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Any]] = []
        self.release = asyncio.Event()
        self.ended = asyncio.Event()
        self.tools = DescribedTools(ttl_seconds=60.0)
        self.tools.tool("Counts the words of a text.", Words, Hints(read_only=True))(self.count_words)
        hints = Hints(timeout_seconds=7.5, operation_type="travel", spends=True, max_result_bytes=100)
        self.tools.tool("Books a route.", ROUTE, hints, name="book")(self.book_route)
        only = Hints(read_only=True, offered_to=lambda user: user == "bob")
        self.tools.tool("For one user.", {"type": "object"}, only)(self.for_bob)

    async def count_words(self, call: Call, words: Words) -> Output:
        self.calls.append((call, words))
        if words.text == "locked":
            raise FailedPreconditionError("The text is locked.")
        return Output(data={"count": len(words.text.split()) * words.times})

    async def book_route(self, call: Call, route: dict[str, Any]) -> Steps:
        self.calls.append((call, route))
        try:
            yield Progress("looking", 0.25)
            yield Progress("booking", 7.0)
            await self.release.wait()
            yield Output(f"booked {route['to']} as number {len(self.calls)}", untrusted=True)
        finally:
            self.ended.set()

    async def for_bob(self, call: Call, arguments: dict[str, Any]) -> str:
        return "hello bob"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def server(shop: Shop) -> AsyncIterator[ToolServiceServer]:
    tokens = BearerTokens.of(TOKEN)
    async with ToolServiceServer(
        ToolHandlers(), ANYWHERE, authenticator=tokens, described=shop.tools
    ) as server:
        yield server


@pytest.fixture
async def channel(server: ToolServiceServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
async def source(server: ToolServiceServer) -> AsyncIterator[Described]:
    async with ToolGateway(options(server.address, token=TOKEN)) as gateway:
        yield Described(gateway, LIMITS)


async def use(
    source: Described, name: str, arguments: dict[str, Any], told: Told | None = None, **fields: Any
) -> ToolOutcome:
    owner = fields.get("owner", ANN)
    tool = next(tool for tool in await source.offered(owner) if tool.name == name)
    return await source.call(tool, arguments, context(**fields), told or Told())


async def test_a_user_is_offered_what_is_for_that_user_with_its_hints(source: Described) -> None:
    offered = {tool.name: tool for tool in await source.offered(ANN)}
    assert list(offered) == ["count_words", "book"]
    assert len(await source.offered(Owner("bob"))) == 3
    book, count = offered["book"], offered["count_words"]
    assert (book.operation_type, book.spends, book.read_only) == ("travel", True, False)
    assert (book.timeout_seconds, book.max_result_bytes) == (7.5, 100)
    assert count.read_only
    assert count.parameters["properties"]["unit"]["enum"] == ["words", "letters"]
    assert book.parameters == ROUTE


async def test_a_list_that_is_known_is_not_sent_again(channel: grpc.aio.Channel) -> None:
    first = await ask(channel, "DescribeTools")
    assert (len(first.tools), first.ttl.seconds, first.not_modified) == (2, 60, False)
    request = pb.DescribeToolsRequest(user_id="ann", known_revision=first.revision)
    again = await ask(channel, "DescribeTools", request)
    assert (len(again.tools), again.not_modified, again.revision) == (0, True, first.revision)
    request.user_id = "bob"
    assert len((await ask(channel, "DescribeTools", request)).tools) == 3


async def test_a_model_is_given_as_an_instance_and_whole_numbers_are_whole(
    source: Described, shop: Shop
) -> None:
    asked: dict[str, Any] = {
        "run_id": RunId("r" * 32),
        "permission_id": "p",
        "attempt": 3,
        "tool_call_id": "t",
    }
    outcome = await use(source, "count_words", {"text": "one two", "times": 3}, **asked)
    assert (outcome.ok, outcome.text) == (True, '{"count":6}')
    [(call, words)] = shop.calls
    assert words == Words(text="one two", times=3)
    assert (call.user, call.conversation_id, call.permission_id, call.attempt) == ("ann", "c7", "p", 3)
    assert (call.run_id, call.call_id) == ("r" * 32, "t")


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("count_words", {}, "text: Field required"),
        ("count_words", {"text": "x", "times": 1.5}, "times: "),
        ("count_words", {"text": "x" * 101}, "text: "),
        ("count_words", {"text": " "}, "there is no text"),
        ("count_words", {"text": "x", "unit": "miles"}, "unit: "),
        ("book", {"to": 7}, "to: 7 is not of type 'string'"),
        ("book", {"to": "Bonn", "by": "train"}, "by"),
        ("book", {"to": "Bonn", "stops": 1.5}, "stops: "),
    ],
)
async def test_arguments_that_do_not_fit_reach_no_function_and_the_model_is_told_why(
    channel: grpc.aio.Channel, shop: Shop, name: str, arguments: dict[str, Any], says: str
) -> None:
    ended = await refused(channel, "InvokeTool", invocation(name, **arguments))
    assert (ended.code, ended.field) == (grpc.StatusCode.INVALID_ARGUMENT, "arguments")
    assert says in ended.text
    assert "pydantic" not in ended.everything
    assert shop.calls == []


@pytest.mark.parametrize("name", ["nothing", "for_bob", "search_web", ""])
async def test_a_tool_that_is_not_the_users_is_not_there(channel: grpc.aio.Channel, name: str) -> None:
    ended = await refused(channel, "InvokeTool", invocation(name))
    assert (ended.code, ended.text) == (grpc.StatusCode.NOT_FOUND, "There is no such tool.")


async def test_progress_is_seen_while_the_tool_works(source: Described, shop: Shop) -> None:
    told = Told()
    calling = asyncio.create_task(use(source, "book", {"to": "Bonn"}, told))
    async with asyncio.timeout(5):
        while len(told.lines) < 2:
            told.changed.clear()
            await told.changed.wait()
    assert told.lines == [("looking", 0.25), ("booking", 1.0)]
    assert not calling.done()
    shop.release.set()
    outcome = await calling
    assert (outcome.text, outcome.untrusted) == ("booked Bonn as number 1", True)


async def test_a_caller_who_leaves_ends_the_generator(source: Described, shop: Shop) -> None:
    told = Told()
    calling = asyncio.create_task(use(source, "book", {"to": "Bonn"}, told))
    await told.changed.wait()
    assert not shop.ended.is_set()
    calling.cancel()
    async with asyncio.timeout(5):
        await shop.ended.wait()


async def test_a_repeated_invocation_is_done_once_also_by_a_later_attempt(
    source: Described, shop: Shop
) -> None:
    shop.release.set()
    texts = [
        (await use(source, "book", {"to": "Bonn"}, tool_call_id="t", attempt=n)).text for n in range(1, 4)
    ]
    assert texts == ["booked Bonn as number 1"] * 3
    other = await use(source, "book", {"to": "Rome"}, tool_call_id="t")
    assert other.reason == "INVALID_ARGUMENT"
    assert len(shop.calls) == 1
    for _ in range(2):
        await use(source, "count_words", {"text": "x"}, tool_call_id="c")
    assert len(shop.calls) == 3


async def test_a_refusal_of_a_tool_is_told_to_the_model(source: Described) -> None:
    outcome = await use(source, "count_words", {"text": "locked"})
    assert (outcome.reason, outcome.text) == ("FAILED_PRECONDITION", "The text is locked.")


async def steps_of(*given: Any) -> Any:
    tools = DescribedTools()

    @tools.tool("Says things.", {"type": "object"})
    async def says(call: Call, arguments: dict[str, Any]) -> Any:
        for step in given:
            yield step

    return tools


@pytest.mark.parametrize(
    "given", [(), (Progress("half"),), (Output("a"), Output("b")), (Output("a"), Progress("late")), (7,)]
)
async def test_anything_but_one_output_at_the_end_is_the_backends_error(given: tuple[Any, ...]) -> None:
    async with (
        ToolServiceServer(ToolHandlers(), ANYWHERE, described=await steps_of(*given)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        assert (await refused(channel, "InvokeTool", invocation("says"))).code is grpc.StatusCode.INTERNAL


def test_two_tools_of_one_name_a_tool_without_a_description_and_a_schema_that_is_none_are_refused() -> None:
    shop = Shop()
    with pytest.raises(ToolDescriptionError, match="two tools named count_words"):
        shop.tools.tool("Counts.", Words)(shop.count_words)
    with pytest.raises(ToolDescriptionError, match="description"):
        DescribedTools().tool(" ", Words)(shop.count_words)
    with pytest.raises(ValueError, match="no JSON Schema"):
        DescribedTools().tool("Counts.", {"type": "nonsense"})
    with pytest.raises(NotFoundError):
        shop.tools.found("for_bob", "ann")
