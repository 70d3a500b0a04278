"""Every vendor's reader of answers, on events that no vendor should send."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.anthropic.answer import AnthropicAnswer
from providers.base import ReasoningDelta, TextDelta, TokenCount, ToolCallDelta
from providers.gemini.answer import GeminiAnswer
from providers.http.answer import Answer
from providers.http.sse import BrokenStreamError
from providers.openai_compatible.answer import OpenAIAnswer

Events = list[dict[str, Any]]

OPENAI: Events = [
    {"id": "g", "model": "m", "choices": [{"delta": {"reasoning": "hm"}}]},
    {"id": "g", "choices": [{"delta": {"content": "so"}}]},
    {
        "choices": [
            {"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}}
        ]
    },
    {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
ANTHROPIC: Events = [
    {"type": "message_start", "message": {"id": "g", "model": "m", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "so"}},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": "{}"},
    },
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
GEMINI: Events = [
    {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}], "responseId": "g"},
    {"candidates": [{"content": {"parts": [{"text": "so"}]}}], "modelVersion": "m"},
    {
        "candidates": [
            {
                "content": {"parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
    },
]
READERS: list[tuple[Callable[[str], Answer], Events]] = [
    (OpenAIAnswer, OPENAI),
    (AnthropicAnswer, ANTHROPIC),
    (GeminiAnswer, GEMINI),
]
readers = pytest.mark.parametrize(("reader", "events"), READERS, ids=["openai", "anthropic", "gemini"])

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def encoded(events: Events) -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value, with every key into it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@readers
def test_a_sound_answer_is_read_whole(reader: Callable[[str], Answer], events: Events) -> None:
    answer = reader("asked")
    reasoning, text, call = list(answer.feed(encoded(events)))
    assert (reasoning, text) == (ReasoningDelta("hm"), TextDelta("so"))
    assert isinstance(call, ToolCallDelta)
    assert (call.call.name, call.call.arguments) == ("f", "{}")
    assert (answer.generation_id, answer.complete) == ("g", True)
    assert answer.tokens() == TokenCount(3, 2)


@readers
@given(st.data())
def test_any_other_value_anywhere_gives_deltas_or_a_broken_stream_and_nothing_else(
    reader: Callable[[str], Answer], events: Events, data: st.DataObject
) -> None:
    damaged = copy.deepcopy(events)
    container, key = data.draw(st.sampled_from(list(places(damaged))))
    container[key] = data.draw(_json)
    answer = reader("asked")
    try:
        deltas = list(answer.feed(encoded([event for event in damaged if event is not None])))
    except BrokenStreamError:
        return
    for delta in deltas:
        assert isinstance(delta, TextDelta | ReasoningDelta | ToolCallDelta)
        if isinstance(delta, ToolCallDelta):
            assert all(
                isinstance(v, str) for v in (delta.call.call_id, delta.call.name, delta.call.arguments)
            )
        else:
            assert isinstance(delta.text, str)
            assert delta.text
    assert isinstance(answer.generation_id, str)
    answer.tokens()
