"""What is peculiar to Anthropic's Messages API."""

from dataclasses import replace

import aiohttp
import pytest

from providers.anthropic.model import DEFAULT_MAX_OUTPUT_TOKENS, AnthropicModel
from providers.base import JsonSchema, ModelRequest, TextDelta, TokenCount, ToolSpec
from state.errors import ProviderBrokenError, ProviderSaturatedError
from state.models import FinishReason, Image, Message, ToolCall
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedToolCall
from tests.integration.adapters.reading import EVENT_STREAM, PATIENT, QUESTION, Make, RawServer, read
from tests.integration.adapters.vendors import ANTHROPIC, Vendor

SCHEMA = JsonSchema("form", {"type": "object"})
WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object"})


@pytest.fixture
def vendor() -> Vendor:
    return ANTHROPIC


async def test_a_request_has_its_system_prompt_on_top_and_always_a_limit(
    provider: ScriptedProvider, make: Make
) -> None:
    messages = (
        Message("system", "be brief"),
        Message("system", "be kind"),
        Message("user", "hi"),
        Message("user", "there"),
        Message("assistant", ""),
        Message("assistant", "yes?"),
    )
    await read(make(), ModelRequest(messages, temperature=0.0, seed=7))
    call = provider.ledger[0]
    assert call.body == {
        "model": "small",
        "max_tokens": DEFAULT_MAX_OUTPUT_TOKENS,
        "system": "be brief\n\nbe kind",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "yes?"}]},
        ],
        "stream": True,
        "temperature": 0.0,
    }
    assert "anthropic-version" in call.header_names


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_may_leave_out_the_version(
    provider: ScriptedProvider, session: aiohttp.ClientSession, path: str
) -> None:
    model = AnthropicModel(
        session,
        provider="anthropic",
        base_url=provider.address + path,
        model="small",
        api_key=None,
        context_tokens=8192,
        timeouts=PATIENT,
    )
    assert (await read(model)).finished
    assert provider.ledger[0].path == "/v1/messages"


@pytest.mark.parametrize(("asked", "of_the_model", "sent"), [(64, 512, 64), (None, 512, 512)])
async def test_the_limit_is_the_requests_or_the_models(
    provider: ScriptedProvider, make: Make, asked: int | None, of_the_model: int, sent: int
) -> None:
    await read(make(max_output_tokens=of_the_model), replace(QUESTION, max_output_tokens=asked))
    assert provider.ledger[0].body["max_tokens"] == sent


async def test_tools_and_images_are_written_as_anthropic_wants_them(
    provider: ScriptedProvider, make: Make
) -> None:
    call = ToolCall("call_1", "weather", '{"city":"Rome"}')
    messages = (
        Message("user", "look", images=(Image("image/png", b"\x89PNG"),)),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "rain", tool_call_id="call_1"),
    )
    assert (await read(make(), ModelRequest(messages, tools=(WEATHER,), tool_choice="required"))).finished
    body = provider.ledger[0].body
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    use = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "look"}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert body["tools"] == [
        {"name": "weather", "description": "Tells the weather.", "input_schema": {"type": "object"}}
    ]
    assert body["tool_choice"] == {"type": "any"}


async def test_a_schema_is_a_tool_that_must_be_used_and_its_input_is_the_text(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tool_calls=(ScriptedToolCall("form", '{"name":"Zoë"}'),)))
    result = await read(make(), replace(QUESTION, json_schema=SCHEMA))
    assert result.text == '{"name":"Zoë"}'
    assert all(isinstance(delta, TextDelta) for delta in result.deltas[:-1])
    assert result.finished.finish_reason is FinishReason.STOP
    assert provider.ledger[0].body["tool_choice"] == {"type": "tool", "name": "form"}


async def test_with_a_schema_other_tools_may_still_be_used(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tool_calls=(ScriptedToolCall("weather"),)))
    result = await read(make(), replace(QUESTION, json_schema=SCHEMA, tools=(WEATHER,)))
    assert result.text == ""
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS
    assert provider.ledger[0].body["tool_choice"] == {"type": "any"}


async def test_input_counts_what_the_cache_held_and_what_went_into_it(make: Make) -> None:
    events = (
        b'data: {"type":"message_start","message":{"id":"g","usage":{"input_tokens":5,'
        b'"cache_creation_input_tokens":7,"cache_read_input_tokens":100,"output_tokens":1}}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n'
        b'data: {"type":"message_stop"}\n\n'
    )
    async with RawServer(EVENT_STREAM + events) as server:
        result = await read(make(server.address))
    assert result.finished.tokens == TokenCount(112, 9, cached_input_tokens=100)


async def test_events_that_are_not_known_yet_are_skipped(make: Make) -> None:
    events = (
        b'event: novelty\ndata: {"type":"novelty","index":0}\n\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking"}}\n\n'
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"citations_delta"}}\n\n'
    )
    async with RawServer(EVENT_STREAM + events + ANTHROPIC.whole_answer) as server:
        assert (await read(make(server.address))).text == "all"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("stop_sequence", FinishReason.STOP),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("pause_turn", FinishReason.STOP),
    ],
)
async def test_other_stop_reasons_are_translated_too(
    provider: ScriptedProvider, make: Make, reported: str, expected: FinishReason
) -> None:
    provider.enqueue(Script(finish_reason=reported))
    assert (await read(make())).finished.finish_reason is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", ProviderSaturatedError),
        ("rate_limit_error", ProviderSaturatedError),
        ("api_error", ProviderBrokenError),
    ],
)
async def test_an_error_instead_of_an_answer_is_told_by_its_kind(
    make: Make, kind: str, expected: type[Exception]
) -> None:
    event = f'event: error\ndata: {{"type":"error","error":{{"type":"{kind}","message":"secret"}}}}\n\n'
    async with RawServer(EVENT_STREAM + event.encode()) as server:
        result = await read(make(server.address))
    assert type(result.error) is expected
    assert "secret" not in str(result.error)


@pytest.mark.parametrize(
    "event",
    [
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":7}}',
        b'{"type":"content_block_delta","index":0,"delta":[]}',
        b'{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}}',
        b'{"type":"content_block_start","index":"x","content_block":{"type":"tool_use","name":"a","id":"b"}}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}',
        b'{"type":"message_start"}',
        b"[]",
    ],
)
async def test_an_event_of_an_unknown_form_breaks_the_answer(make: Make, event: bytes) -> None:
    async with RawServer(EVENT_STREAM + b"data: " + event + b"\n\n" + ANTHROPIC.whole_answer) as server:
        assert isinstance((await read(make(server.address))).error, ProviderBrokenError)
