"""What is peculiar to Google's Gemini API."""

from dataclasses import replace

import orjson
import pytest

from providers.base import JsonSchema, ModelRequest, ToolSpec
from state.errors import ProviderBrokenError, ProviderSaturatedError
from state.models import FinishReason, Image, Message, ToolCall
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedToolCall
from tests.fakes.scripted_provider.vendors.gemini import SIGNATURE
from tests.integration.adapters.reading import EVENT_STREAM, QUESTION, Make, RawServer, read
from tests.integration.adapters.test_tool_calls import calls_of
from tests.integration.adapters.vendors import GEMINI, Vendor

SCHEMA = {"type": "object", "additionalProperties": False}
WEATHER = ToolSpec("weather", "Tells the weather.", SCHEMA)


@pytest.fixture
def vendor() -> Vendor:
    return GEMINI


async def test_a_request_is_written_as_google_wants_it(provider: ScriptedProvider, make: Make) -> None:
    messages = (
        Message("system", "be brief"),
        Message("user", "look", images=(Image("image/png", b"\x89PNG"),)),
        Message("assistant", "yes?"),
    )
    request = ModelRequest(
        messages,
        max_output_tokens=64,
        temperature=0.0,
        seed=0,
        tools=(WEATHER,),
        tool_choice="required",
        json_schema=JsonSchema("form", SCHEMA),
    )
    assert (await read(make(), request)).finished
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    declaration = {
        "name": "weather",
        "description": "Tells the weather.",
        "parametersJsonSchema": SCHEMA,
    }
    assert provider.ledger[0].body == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "look"}, image]},
            {"role": "model", "parts": [{"text": "yes?"}]},
        ],
        "tools": [{"functionDeclarations": [declaration]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "maxOutputTokens": 64,
            "temperature": 0.0,
            "seed": 0,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
    }


@pytest.mark.parametrize("vendor_id", [None, "fc-1"])
async def test_a_call_is_told_with_its_own_signature_and_id(
    provider: ScriptedProvider, make: Make, vendor_id: str | None
) -> None:
    asked = ScriptedToolCall("weather", '{"city":"Rome"}', vendor_id)
    provider.enqueue(Script(tool_calls=(asked, ScriptedToolCall("weather"))))
    request = replace(QUESTION, tools=(WEATHER,))
    first, second = calls_of(await read(make(), request))
    messages = (
        *QUESTION.messages,
        Message("assistant", "", tool_calls=(first, second)),
        Message("tool", "rain", tool_call_id=first.call_id),
        Message("tool", "sun", tool_call_id=second.call_id),
    )
    await read(make(), replace(request, messages=messages))
    _, told, answered = provider.ledger[1].body["contents"]
    named = {} if vendor_id is None else {"id": vendor_id}
    rome = {"functionCall": {**named, "name": "weather", "args": {"city": "Rome"}}}
    assert told["parts"] == [
        {**rome, "thoughtSignature": SIGNATURE},
        {"functionCall": {"name": "weather", "args": {}}},
    ]
    assert answered["parts"] == [
        {"functionResponse": {**named, "name": "weather", "response": {"output": "rain"}}},
        {"functionResponse": {"name": "weather", "response": {"output": "sun"}}},
    ]


async def test_a_signature_is_not_shown_to_another_model(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tool_calls=(ScriptedToolCall("weather"),)))
    (call,) = calls_of(await read(make(), replace(QUESTION, tools=(WEATHER,))))
    messages = (
        *QUESTION.messages,
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "rain", tool_call_id=call.call_id),
    )
    assert (await read(make(model="large"), ModelRequest(messages))).finished
    (part,) = provider.ledger[1].body["contents"][1]["parts"]
    assert part["thoughtSignature"] == "skip_thought_signature_validator"


async def test_an_answer_to_a_call_that_is_not_told_any_more_is_sent_all_the_same(
    provider: ScriptedProvider, make: Make
) -> None:
    await read(make(), ModelRequest((Message("tool", "rain", tool_call_id="gone"),)))
    (content,) = provider.ledger[0].body["contents"]
    assert content["parts"][0]["functionResponse"]["name"] == "unknown"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("OTHER", FinishReason.CONTENT_FILTER),
        ("SOMETHING_NEW", FinishReason.STOP),
    ],
)
async def test_other_finish_reasons_are_translated_too(
    provider: ScriptedProvider, make: Make, reported: str, expected: FinishReason
) -> None:
    provider.enqueue(Script(finish_reason=reported))
    assert (await read(make())).finished.finish_reason is expected


async def test_a_blocked_prompt_is_a_filtered_answer(make: Make) -> None:
    event = b'data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}\n\n'
    async with RawServer(EVENT_STREAM + event) as server:
        result = await read(make(server.address))
    assert result.text == ""
    assert result.finished.finish_reason is FinishReason.CONTENT_FILTER
    assert result.finished.tokens is not None
    assert result.finished.tokens.input_tokens == 4


async def test_text_after_a_first_finish_reason_belongs_to_the_answer(make: Make) -> None:
    async with RawServer(EVENT_STREAM + GEMINI.whole_answer * 2) as server:
        assert (await read(make(server.address))).text == "allall"


@pytest.mark.parametrize(
    ("delay", "expected"), [("34s", 34.0), ("34.5s", 34.5), ("9999s", 3600.0), ("soon", 5.0), (7, 5.0)]
)
async def test_the_wait_is_told_in_the_body_of_the_error(
    provider: ScriptedProvider, make: Make, delay: object, expected: float
) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, {"retryDelay": delay}]
    body = orjson.dumps({"error": {"code": 429, "details": details}}).decode()
    provider.enqueue(Script(status=429, body=body), Script(status=429, body=body, retry_after=2))
    told, both = (await read(make())).error, (await read(make())).error
    assert isinstance(told, ProviderSaturatedError)
    assert isinstance(both, ProviderSaturatedError)
    assert (told.retry_after, both.retry_after) == (expected, 2.0)


@pytest.mark.parametrize("body", ["", "[]", "{", '{"error":7}', '{"error":{"details":[7]}}'])
async def test_a_body_that_tells_nothing_leaves_the_usual_wait(
    provider: ScriptedProvider, make: Make, body: str
) -> None:
    provider.enqueue(Script(status=429, body=body))
    error = (await read(make())).error
    assert isinstance(error, ProviderSaturatedError)
    assert error.retry_after == 5.0


async def test_a_name_with_a_path_is_taken_as_it_is(provider: ScriptedProvider, make: Make) -> None:
    await read(make(model="tunedModels/mine"))
    assert provider.ledger[0].path == "/v1beta/tunedModels/mine:streamGenerateContent"


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"candidates":7}',
        b'{"candidates":[7]}',
        b'{"candidates":[{"content":[7]}]}',
        b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":[1]}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}',
        b'{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}',
    ],
)
async def test_a_chunk_of_an_unknown_form_breaks_the_answer(make: Make, chunk: bytes) -> None:
    async with RawServer(EVENT_STREAM + b"data: " + chunk + b"\n\n" + GEMINI.whole_answer) as server:
        assert isinstance((await read(make(server.address))).error, ProviderBrokenError)


async def test_tool_calls_with_nothing_else_end_as_tool_calls(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tool_calls=(ScriptedToolCall("weather", '{"a":[1]}'),)))
    result = await read(make())
    assert calls_of(result) == [ToolCall(calls_of(result)[0].call_id, "weather", '{"a":[1]}')]
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS
