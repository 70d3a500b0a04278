"""The scripted provider itself: its ledger, its checks, and the same as a process of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedToolCall, ScriptedUsage

BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hello there"}]}
STREAM = {**BODY, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    http: aiohttp.ClientSession, base_url: str, body: Any = BODY, **headers: str
) -> tuple[int, Any]:
    async with http.post(f"{base_url}/chat/completions", json=body, headers=headers) as response:
        text = await response.text()
        return response.status, await response.json() if response.content_type == "application/json" else text


async def test_a_stream_has_the_chunks_openai_sends(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    provider.enqueue(Script(tokens=("a", "b"), usage=ScriptedUsage(5, 2), generation_id="gen-1"))
    status, text = await post(http, provider.base_url, STREAM)
    assert status == 200
    *events, end = text.split("\n\n")
    assert end == ""
    assert [event.startswith("data: ") for event in events] == [True] * 6
    assert all('"id":"gen-1"' in event for event in events[:-1])
    wanted = [
        '"role":"assistant"',
        '"content":"a"',
        '"content":"b"',
        '"finish_reason":"stop"',
        '"total_tokens":7',
    ]
    assert all(part in event for part, event in zip(wanted, events[:-1], strict=True))
    assert events[-1] == "data: [DONE]"


ANTHROPIC = {"model": "small", "max_tokens": 9, "messages": BODY["messages"], "stream": True}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
EVERYTHING = Script(
    tokens=("a",), reasoning=("r",), tool_calls=(ScriptedToolCall("weather", '{"x":1}', "c1"),),
    usage=ScriptedUsage(9, 3, cached_tokens=4, reasoning_tokens=1), generation_id="gen-1",
)  # fmt: skip


async def test_the_same_script_is_played_in_anthropics_events(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    provider.enqueue(EVERYTHING)
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "key"}
    async with http.post(f"{provider.address}/v1/messages", json=ANTHROPIC, headers=headers) as response:
        events = (await response.text()).split("\n\n")[:-1]
    kinds = [event.removeprefix("event: ").split("\n")[0] for event in events]
    assert kinds == [
        "message_start",
        "ping",
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("content_block_start", *["content_block_delta"] * 3, "content_block_stop"),
        "message_delta",
        "message_stop",
    ]
    assert '"input_tokens":5' in events[0]
    assert '"cache_read_input_tokens":4' in events[0]
    assert '"stop_reason":"tool_use"' in events[-2]
    assert '"output_tokens":3' in events[-2]
    (call,) = provider.ledger
    assert (call.authorized, call.tokens_sent, await call.ended()) == (True, 5, Outcome.COMPLETED)


async def test_the_same_script_is_played_in_geminis_chunks(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    provider.enqueue(EVERYTHING)
    url = f"{provider.address}/v1beta/models/small:streamGenerateContent"
    async with http.post(url, json=GEMINI, params={"alt": "sse"}) as response:
        chunks = [orjson.loads(line[6:]) for line in (await response.text()).splitlines() if line]
    parts = [chunk["candidates"][0]["content"]["parts"][0] for chunk in chunks]
    assert parts[:2] == [{"text": "r", "thought": True}, {"text": "a"}]
    assert parts[2]["functionCall"] == {"id": "c1", "name": "weather", "args": {"x": 1}}
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert chunks[-1]["usageMetadata"] == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 1,
        "cachedContentTokenCount": 4,
        "totalTokenCount": 12,
    }
    assert {chunk["responseId"] for chunk in chunks} == {"gen-1"}
    async with http.post(url, json=GEMINI) as response:
        assert response.status == 400


async def test_without_a_stream_the_answer_comes_whole_and_is_a_deterministic_echo(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    answers = [(await post(http, provider.base_url))[1] for _ in range(2)]
    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert texts[0] == texts[1]
    assert texts[0].startswith("Echo: hello there 1 2 3")
    assert answers[0]["id"] != answers[1]["id"]
    async with http.get(f"{provider.base_url}/models") as response:
        assert (await response.json())["data"][0]["id"] == "scripted"


async def test_the_ledger_tells_what_each_call_was(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    before = time.monotonic()
    provider.enqueue(Script(tokens=("a", "b"), reasoning=("c",)), Script(status=503, retry_after=9))
    await post(http, provider.base_url, STREAM, Authorization="Bearer key")
    await post(http, provider.base_url)
    await http.post(f"{provider.base_url}/embeddings", json={})
    first, second, third = provider.ledger
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert before <= first.arrived_at <= second.arrived_at <= time.monotonic()
    assert first.body == STREAM
    assert (first.authorized, second.authorized) == (True, False)
    assert "authorization" in first.header_names
    assert (first.tokens_sent, await first.ended()) == (3, Outcome.COMPLETED)
    assert (second.tokens_sent, second.outcome) == (0, Outcome.REFUSED)
    assert (third.path, third.outcome) == ("/v1/embeddings", Outcome.REFUSED)
    assert provider.in_flight == 0


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, None),
        ({"temperature": 3}, "temperature"),
        ({"seed": "7"}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"max_token": 5}, "max_token"),
    ],
)
async def test_a_wrong_request_is_refused_as_openai_does(
    provider: ScriptedProvider, http: aiohttp.ClientSession, change: dict[str, Any], param: str | None
) -> None:
    provider.enqueue(Script())
    status, answer = await post(http, provider.base_url, {**BODY, **change})
    assert (status, answer["error"]["param"]) == (400, param)
    assert answer["error"]["type"] == "invalid_request_error"
    assert provider.ledger[0].outcome is Outcome.REFUSED
    assert (await post(http, provider.base_url))[0] == 200


async def test_a_request_that_is_not_json_is_refused(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{provider.base_url}/chat/completions", data=b"{") as response:
        assert response.status == 400


async def test_a_held_stream_goes_on_when_it_is_released(
    provider: ScriptedProvider, http: aiohttp.ClientSession
) -> None:
    provider.enqueue(*[Script(tokens=("a", "b", "c"), hold_after=2)] * 2)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(post(http, provider.base_url, STREAM))
        calls = [await provider.call(number) for number in (1, 2)]
        for call in calls:
            await call.sent(2)
        assert provider.in_flight == 2
        provider.release(1)
        assert await calls[0].ended() is Outcome.COMPLETED
        assert (calls[1].tokens_sent, calls[1].outcome) == (2, None)
        provider.release()
    assert await calls[1].ended() is Outcome.COMPLETED
    assert (provider.in_flight, provider.most_in_flight) == (0, 2)


async def test_tokens_follow_their_schedule(provider: ScriptedProvider, http: aiohttp.ClientSession) -> None:
    provider.enqueue(Script(tokens=("x",) * 11, first_token_delay=0.05, token_interval=0.01))
    began = time.monotonic()
    await post(http, provider.base_url, STREAM)
    assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize(
    "script",
    [
        Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS)),
        Script(fault=Fault(FaultKind.HANG, after=2)),
        Script(hold_after=2),
        Script(first_token_delay=60),
        Script(first_token_delay=60, keep_alive=0.01),
    ],
    ids=["before headers", "hang", "hold", "delay", "keep-alive"],
)
async def test_a_client_that_leaves_is_noticed_at_once(provider: ScriptedProvider, script: Script) -> None:
    provider.enqueue(script)
    async with aiohttp.ClientSession() as http:
        asking = asyncio.create_task(post(http, provider.base_url, STREAM))
        call = await provider.call(1)
        assert call.outcome is None
        asking.cancel()
        assert await call.ended(within=1) is Outcome.CLIENT_GONE


async def test_stopping_ends_open_calls_as_a_fault(http: aiohttp.ClientSession) -> None:
    async with ScriptedProvider(default=Script(hold_after=1)) as provider:
        asking = asyncio.create_task(post(http, provider.base_url, STREAM))
        call = await provider.call(1)
        await call.sent(1)
    assert await call.ended(within=1) is Outcome.FAULT
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_waiting_for_what_does_not_come_says_what_it_was(provider: ScriptedProvider) -> None:
    with pytest.raises(TimeoutError, match="call 1 has arrived"):
        await provider.call(1, within=0.05)


async def test_another_process_is_steered_over_http(http: aiohttp.ClientSession) -> None:
    async with scripted_provider_process() as control:
        everything = Script(
            tokens=("a", "b"), reasoning=("r",), usage=ScriptedUsage(1, 2), headers=(("X-A", "b"),),
            hold_after=1, fault=Fault(FaultKind.RESET, after=3), split_bytes=5, keep_alive=0.5,
        )  # fmt: skip
        await control.enqueue(everything)
        await control.set_default(Script(tokens=("later",)))
        asking = asyncio.create_task(post(http, control.base_url, STREAM))
        assert (await control.sent(1, tokens=1)).outcome is None
        await control.release(1)
        with pytest.raises(aiohttp.ClientError):
            await asking
        _, answer = await post(http, control.base_url)
        assert answer["choices"][0]["message"]["content"] == "later"
        first, second = await control.ledger(arrived=2, ended=2)
        assert (first.body, first.tokens_sent, first.outcome) == (STREAM, 3, Outcome.FAULT)
        assert second.outcome is Outcome.COMPLETED
        await refuses_what_it_does_not_know(control, http)
        await control.set_capacity(0)
        assert (await post(http, control.base_url))[0] == 429
        await control.reset()
        assert await control.ledger() == []
        assert (await post(http, control.base_url))[0] == 200


async def refuses_what_it_does_not_know(control: ControlClient, http: aiohttp.ClientSession) -> None:
    address = control.base_url.removesuffix("/v1")
    async with http.post(f"{address}/control/scripts", json={"scripts": [{"tokenz": []}]}) as response:
        assert response.status == 400
    with pytest.raises(TimeoutError):
        await control.ledger(arrived=99, within=0.05)


async def test_a_process_leaves_no_call_hanging_when_it_is_stopped(http: aiohttp.ClientSession) -> None:
    async with scripted_provider_process() as control:
        await control.enqueue(Script(hold_after=0))
        asking = asyncio.create_task(post(http, control.base_url, STREAM))
        await control.ledger(arrived=1)
    with pytest.raises(aiohttp.ClientError):
        await asking
