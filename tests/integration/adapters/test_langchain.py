"""A LangChain model behind the service's own interface."""

from dataclasses import replace

from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk

from providers.base import (
    CallAccepted,
    ChatModel,
    JsonSchema,
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    TokenCount,
    ToolSpec,
)
from providers.langchain.model import LangChainModel
from state.models import FinishReason, Image, Message, ToolCall
from tests.fakes.chat_model import PlayedChatModel, Step, StreamedChatModel
from tests.integration.adapters.reading import PATIENT, QUESTION, read
from tests.integration.adapters.test_tool_calls import calls_of

_: type[ChatModel] = LangChainModel

WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object"})


def adapted(model: BaseChatModel, **limits: float) -> LangChainModel:
    timeouts = replace(PATIENT, **limits)
    return LangChainModel(model, provider="acme", name="small", context_tokens=8192, timeouts=timeouts)


def played(*steps: Step) -> StreamedChatModel:
    return StreamedChatModel(steps=list(steps))


def usage(read_tokens: int, written: int) -> UsageMetadata:
    return {
        "input_tokens": read_tokens,
        "output_tokens": written,
        "total_tokens": read_tokens + written,
        "input_token_details": {"cache_read": read_tokens // 2},
        "output_token_details": {"reasoning": written // 2},
    }


async def test_chunks_become_deltas_and_their_counts_are_summed() -> None:
    model = played(
        AIMessageChunk(content="Grü", id="msg-1", usage_metadata=usage(10, 0)),
        AIMessageChunk(content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ße"}]),
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": "ha"}),
        AIMessageChunk(
            content="",
            response_metadata={"finish_reason": "stop", "model_name": "small-2"},
            usage_metadata=usage(0, 4),
        ),
    )
    result = await read(adapted(model))
    assert result.accepted == CallAccepted()
    assert result.deltas == [
        TextDelta("Grü"),
        ReasoningDelta("hm"),
        TextDelta("ße"),
        ReasoningDelta("ha"),
        ModelFinished(
            FinishReason.STOP, "msg-1", "acme", "small-2", TokenCount(10, 4, 5, reasoning_tokens=2)
        ),
    ]


async def test_a_model_without_a_stream_answers_in_one_piece() -> None:
    calls = [{"name": "weather", "args": {"city": "Rome"}, "id": "c1"}]
    model = PlayedChatModel(whole=AIMessage("so", tool_calls=calls))
    result = await read(adapted(model))
    assert result.text == "so"
    assert calls_of(result) == [ToolCall("c1", "weather", '{"city":"Rome"}')]


async def test_a_model_of_langchains_own_works_and_has_no_generation_id() -> None:
    result = await read(adapted(FakeListChatModel(responses=["abc"])))
    assert result.text == "abc"
    assert (result.finished.generation_id, result.finished.tokens) == ("", None)


async def test_fragments_of_parallel_calls_become_whole_calls() -> None:
    def fragment(name: str | None, args: str, call_id: str | None, index: int) -> AIMessageChunk:
        return AIMessageChunk(
            content="", tool_call_chunks=[tool_call_chunk(name=name, args=args, id=call_id, index=index)]
        )

    model = played(
        fragment("weather", '{"city":', "c1", 0),
        fragment(None, '"Rome"}', None, 0),
        fragment("weather", "{broken", "c2", 1),
    )
    result = await read(adapted(model), replace(QUESTION, tools=(WEATHER,)))
    assert calls_of(result) == [
        ToolCall("c1", "weather", '{"city":"Rome"}'),
        ToolCall("c2", "weather", "{broken"),
    ]
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS


async def test_a_schema_is_a_tool_that_must_be_used_and_its_arguments_are_the_text() -> None:
    chunks = [tool_call_chunk(name="form", args='{"a":', id="c1", index=0)]
    more = [tool_call_chunk(name=None, args="1}", id=None, index=0)]
    model = played(
        AIMessageChunk(content="", tool_call_chunks=chunks), AIMessageChunk(content="", tool_call_chunks=more)
    )
    result = await read(adapted(model), replace(QUESTION, json_schema=JsonSchema("form", {"type": "object"})))
    assert result.deltas[:-1] == [TextDelta('{"a":'), TextDelta("1}")]
    assert result.finished.finish_reason is FinishReason.STOP
    assert model.options[0]["tool_choice"] == "form"


async def test_a_request_becomes_langchains_messages_and_options() -> None:
    model = played(AIMessageChunk(content="x"))
    messages = (
        Message("system", "be brief"),
        Message("user", "look", images=(Image("image/png", b"\x89PNG"),)),
        Message("assistant", "", tool_calls=(ToolCall("c1", "weather", '{"city":"Rome"}'),)),
        Message("tool", "rain", tool_call_id="c1"),
    )
    request = ModelRequest(
        messages, max_output_tokens=9, temperature=0.5, seed=1, tools=(WEATHER,), tool_choice="required"
    )
    await read(adapted(model), request)
    system, user, assistant, tool = model.asked[0]
    assert isinstance(system, SystemMessage)
    assert isinstance(user, HumanMessage)
    assert isinstance(assistant, AIMessage)
    assert isinstance(tool, ToolMessage)
    assert "data:image/png;base64,iVBORw==" in str(user.content)
    assert assistant.tool_calls[0]["args"] == {"city": "Rome"}
    assert tool.tool_call_id == "c1"
    options = model.options[0]
    assert (options["max_tokens"], options["temperature"], options["tool_choice"]) == (9, 0.5, "any")
    assert "seed" not in options
