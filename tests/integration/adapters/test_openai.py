"""What is peculiar to OpenAI's protocol and the servers that speak it."""

from dataclasses import replace

import aiohttp
import orjson
import pytest

from providers.base import JsonSchema, ModelRequest, ReasoningDelta, TextDelta, ToolSpec
from state.errors import ProviderBrokenError
from state.models import FinishReason, Image, Message, ToolCall
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.integration.adapters.reading import EVENT_STREAM, QUESTION, TOKENS, Loopback, Make, RawServer, read
from tests.integration.adapters.test_tool_calls import calls_of
from tests.integration.adapters.vendors import OPENAI, Vendor


@pytest.fixture
def vendor() -> Vendor:
    return OPENAI


async def test_a_request_asks_for_a_stream_with_usage_and_nothing_it_was_not_told(
    provider: ScriptedProvider, make: Make
) -> None:
    messages = (Message("system", "be brief"), Message("user", "hi"), Message("assistant", "yes?"))
    await read(make(), ModelRequest(messages))
    assert provider.ledger[0].body == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_limits_temperature_and_seed_are_passed_on(provider: ScriptedProvider, make: Make) -> None:
    await read(make(), replace(QUESTION, max_output_tokens=64, temperature=0.0, seed=0))
    body = provider.ledger[0].body
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (64, 0.0, 0)


async def test_openai_itself_gets_its_own_name_for_the_token_limit(
    provider: ScriptedProvider, make: Make
) -> None:
    connector = aiohttp.TCPConnector(resolver=Loopback())
    async with aiohttp.ClientSession(connector=connector) as session:
        model = make(f"http://api.openai.com:{provider.port}", session=session)
        await read(model, replace(QUESTION, max_output_tokens=64))
    assert provider.ledger[0].body["max_completion_tokens"] == 64
    assert "max_tokens" not in provider.ledger[0].body


async def test_tools_images_and_a_schema_are_written_as_openai_wants_them(
    provider: ScriptedProvider, make: Make
) -> None:
    schema = {"type": "object", "additionalProperties": False}
    call = ToolCall("call_1", "weather", "{}")
    messages = (
        Message("user", "look", images=(Image("image/png", b"\x89PNG"),)),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "rain", tool_call_id="call_1"),
    )
    tools = (ToolSpec("weather", "Tells the weather.", schema),)
    request = ModelRequest(
        messages, tools=tools, tool_choice="required", json_schema=JsonSchema("form", schema)
    )
    assert (await read(make(), request)).finished
    body = provider.ledger[0].body
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]
    function = {"name": "weather", "description": "Tells the weather.", "parameters": schema}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == "required"
    form = {"name": "form", "schema": schema, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": form}


CITY = {"type": "string"}
STRICT = {"type": "object", "properties": {"city": CITY}, "required": ["city"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        ({**STRICT, "properties": {"city": {"enum": ["Rome"]}}}, True),
        ({**STRICT, "required": []}, False),
        ({**STRICT, "additionalProperties": True}, False),
        ({"type": "object"}, False),
        ({**STRICT, "properties": {"city": {**CITY, "minLength": 3}}}, False),
        ({**STRICT, "properties": {"city": {"anyOf": [CITY, {"type": "object"}]}}}, False),
        ({**STRICT, "properties": {"city": {"type": "array", "items": STRICT}}}, True),
    ],
)
async def test_only_a_schema_that_openai_can_hold_to_is_strict(
    provider: ScriptedProvider, make: Make, schema: dict[str, object], strict: bool
) -> None:
    await read(make(), replace(QUESTION, json_schema=JsonSchema("form", schema)))
    assert provider.ledger[0].body["response_format"]["json_schema"]["strict"] is strict


async def test_calls_count_even_without_a_finish_reason(make: Make) -> None:
    answer = chunk(fragment("{}", index=0, id="a")) + b"data: [DONE]\n\n"
    async with RawServer(EVENT_STREAM + answer) as server:
        result = await read(make(server.address))
    assert [call.call_id for call in calls_of(result)] == ["a"]
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS


async def test_the_other_name_of_reasoning_is_understood(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=("so",), reasoning=("hm",), reasoning_field="reasoning"))
    assert (await read(make())).deltas[:-1] == [ReasoningDelta("hm"), TextDelta("so")]


async def test_a_finish_reason_that_tells_of_an_error_breaks_the_answer(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, finish_reason="error"))
    result = await read(make())
    assert isinstance(result.error, ProviderBrokenError)
    assert result.text == "".join(TOKENS)


def chunk(*calls: object, finish: str | None = None) -> bytes:
    choice = {"delta": {"tool_calls": calls} if calls else {}, "finish_reason": finish}
    return b"data: " + orjson.dumps({"id": "g", "choices": [choice]}) + b"\n\n"


def fragment(arguments: str = "", **fields: object) -> dict[str, object]:
    name = {"name": "weather"} if "id" in fields else {}
    return {**fields, "function": {**name, "arguments": arguments}}


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(fragment("{}", index=0, id="a")), chunk(fragment("[]", index=0, id="b"))],
        [chunk(fragment("{}", id="a"), fragment("[]", id="b"))],
        [chunk(fragment("{}", id="a")), chunk(fragment("[]", id="b"))],
        [
            chunk(fragment(index=1, id="b"), fragment(index=0, id="a")),
            chunk(fragment("{}", index=0), fragment("[]", index=1)),
        ],
        [
            chunk(fragment("{", index=0, id="a")),
            chunk(fragment("}", index=0, id="a")),
            chunk(fragment("[]", index=1, id="b")),
        ],
    ],
    ids=["one index for all", "no index", "no index in two chunks", "interleaved", "id in every fragment"],
)
async def test_calls_are_told_apart_however_a_server_numbers_them(make: Make, chunks: list[bytes]) -> None:
    answer = b"".join([*chunks, chunk(finish="stop")])
    async with RawServer(EVENT_STREAM + answer) as server:
        result = await read(make(server.address))
    assert {(call.call_id, call.arguments) for call in calls_of(result)} == {("a", "{}"), ("b", "[]")}
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "broken",
    [
        chunk("call"),
        chunk({"index": 0, "function": {"arguments": {}}, "id": "a"}),
        chunk({"index": 0, "function": {"arguments": 7}, "id": "a"}),
        chunk({"index": [], "id": "a"}),
        chunk({"index": 0, "id": 7}),
        chunk({"index": 0, "id": "a"}),
        chunk(*({"index": number, "id": f"c{number}"} for number in range(200))),
    ],
    ids=["text", "object", "number", "index", "id", "no name", "too many"],
)
async def test_a_tool_call_of_an_unknown_form_breaks_the_answer(make: Make, broken: bytes) -> None:
    async with RawServer(EVENT_STREAM + broken + chunk(finish="tool_calls")) as server:
        result = await read(make(server.address))
    assert isinstance(result.error, ProviderBrokenError)
    assert calls_of(result) == []


async def test_a_wait_in_milliseconds_wins(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(status=429, retry_after=7, headers=(("retry-after-ms", "250"),)))
    result = await read(make())
    assert result.error is not None
    assert result.error.retry_after == 0.25
