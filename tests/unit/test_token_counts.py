"""Input counts what came from a cache, output counts thoughts, whatever a vendor counts them as."""

import json

import orjson
import pytest
from langchain_core.messages import AIMessageChunk

from providers.anthropic.answer import AnthropicAnswer
from providers.base import TokenCount
from providers.gemini.answer import GeminiAnswer
from providers.http.answer import Answer
from providers.langchain.answer import LangChainAnswer
from providers.openai_compatible.answer import OpenAIAnswer


def counted(answer: Answer, *events: object) -> TokenCount | None:
    for event in events:
        list(answer.feed(b"data: " + orjson.dumps(event) + b"\n\n"))
    return answer.tokens()


OPENAI = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(OPENAI, TokenCount(100, 50), id="plain"),
        pytest.param(
            OPENAI
            | {
                "prompt_tokens_details": {"cached_tokens": 80},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            TokenCount(100, 50, cached_input_tokens=80, reasoning_tokens=30),
            id="OpenAI: thoughts in the answer",
        ),
        pytest.param(
            OPENAI | {"total_tokens": 180, "completion_tokens_details": {"reasoning_tokens": 30}},
            TokenCount(100, 80, reasoning_tokens=30),
            id="xAI: thoughts beside the answer",
        ),
        pytest.param(
            OPENAI | {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
            TokenCount(100, 50, cached_input_tokens=60),
            id="DeepSeek: another name",
        ),
    ],
)
def test_openai_and_those_who_speak_like_it(usage: object, expected: TokenCount) -> None:
    assert counted(OpenAIAnswer("m"), {"choices": [], "usage": usage}) == expected


def test_anthropic_counts_what_came_from_the_cache_and_went_into_it_beside_the_input() -> None:
    read = {"input_tokens": 5, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 100}
    start = {"type": "message_start", "message": {"id": "g", "usage": {**read, "output_tokens": 1}}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    assert counted(AnthropicAnswer("m"), start, end) == TokenCount(112, 9, cached_input_tokens=100)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"candidatesTokenCount": 50}, TokenCount(100, 50)),
        (
            {"candidatesTokenCount": 50, "thoughtsTokenCount": 30, "cachedContentTokenCount": 80},
            TokenCount(100, 80, cached_input_tokens=80, reasoning_tokens=30),
        ),
        ({"thoughtsTokenCount": 30}, TokenCount(100, 30, reasoning_tokens=30)),
    ],
)
def test_gemini_counts_thoughts_beside_the_answer(counts: dict[str, int], expected: TokenCount) -> None:
    event = {"candidates": [], "usageMetadata": {"promptTokenCount": 100, **counts}}
    assert counted(GeminiAnswer("m"), event) == expected


@pytest.mark.parametrize("count", [-1, 10**13, 2**63, 10**30, 1.5, "7", None])
def test_what_cannot_be_a_count_is_none(count: object) -> None:
    event = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%s}}\n\n'
    answer = OpenAIAnswer("m")
    list(answer.feed(event % json.dumps(count).encode()))
    assert answer.tokens() is None


def test_langchain_counts_as_we_do() -> None:
    answer = LangChainAnswer("m", schema_tool=None)
    usage = {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_token_details": {"cache_read": 80},
        "output_token_details": {"reasoning": 30},
    }
    list(answer.read(AIMessageChunk(content="", usage_metadata=usage)))  # type: ignore[arg-type]
    assert answer.tokens() == TokenCount(100, 50, cached_input_tokens=80, reasoning_tokens=30)
