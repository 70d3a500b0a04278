"""A LangChain model behind the service's own interface."""

import asyncio
import os
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)
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
from providers.langchain.load import MissingPackageError, load_model
from providers.langchain.model import LangChainModel
from state.errors import (
    DeadlineExceededError,
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from state.models import FinishReason, Image, Message, ToolCall
from tests.fakes.chat_model import PlayedChatModel, Step, StreamedChatModel
from tests.integration.adapters.reading import PATIENT, QUESTION, read
from tests.integration.adapters.test_tool_calls import calls_of

_: type[ChatModel] = LangChainModel

ROOT = Path(__file__).resolve().parents[3]
WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object"})
SECRET = "sk-secret"


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


class VendorsOwnError(Exception):
    """As the vendors' clients raise it."""

    def __init__(self, status_code: int, retry_after: str | None = None) -> None:
        super().__init__(SECRET)
        self.status_code = status_code
        self.response = type(self)._Response({} if retry_after is None else {"Retry-After": retry_after})

    class _Response:
        def __init__(self, headers: dict[str, str]) -> None:
            self.headers = headers


FAILURES = [
    (ModelRateLimitError(SECRET), ProviderSaturatedError),
    (ModelAuthenticationError(SECRET), ProviderRejectedError),
    (ModelInvalidRequestError(SECRET), ProviderRejectedError),
    (ModelNotFoundError(SECRET), ProviderRejectedError),
    (ContextOverflowError(SECRET), ProviderRejectedError),
    (ModelAPIError(SECRET), ProviderUnavailableError),
    (ModelConnectionError(SECRET), ProviderUnavailableError),
    (ModelTimeoutError(SECRET), ProviderUnavailableError),
    (ConnectionResetError(SECRET), ProviderUnavailableError),
    (VendorsOwnError(429), ProviderSaturatedError),
    (VendorsOwnError(529), ProviderSaturatedError),
    (VendorsOwnError(503), ProviderUnavailableError),
    (VendorsOwnError(422), ProviderRejectedError),
    (ValueError(SECRET), ProviderBrokenError),
]


@pytest.mark.parametrize(("error", "expected"), FAILURES, ids=lambda value: type(value).__name__)
async def test_a_failure_is_translated_without_its_text(
    error: Exception, expected: type[ProviderError]
) -> None:
    before = await read(adapted(played(error)))
    after = await read(adapted(played(AIMessageChunk(content="so"), error)))
    assert type(before.error) is expected
    assert type(after.error) is ProviderBrokenError
    for raised in (before.error, after.error):
        assert SECRET not in str(raised)
        # A traceback in the log would show the cause.
        assert raised.__cause__ is None
        assert raised.__suppress_context__


async def test_a_wait_that_the_vendor_tells_is_kept() -> None:
    error = (await read(adapted(played(VendorsOwnError(429, "7"))))).error
    assert error is not None
    assert error.retry_after == 7.0


async def test_silence_before_and_after_the_first_token() -> None:
    before = await read(adapted(played(5.0), first_token=0.1))
    after = await read(adapted(played(AIMessageChunk(content="so"), 5.0), between_tokens=0.1))
    assert isinstance(before.error, ProviderUnavailableError)
    assert isinstance(after.error, ProviderBrokenError)
    assert after.text == "so"


async def test_the_callers_deadline_is_no_fault_of_the_provider() -> None:
    request = replace(QUESTION, deadline=asyncio.get_running_loop().time() + 0.1)
    with pytest.raises(DeadlineExceededError):
        await read(adapted(played(AIMessageChunk(content="so"), 5.0)), request)


async def test_leaving_closes_the_models_own_stream() -> None:
    model = played(AIMessageChunk(content="a"), AIMessageChunk(content="b"), 60.0)
    async with aclosing(adapted(model).stream(QUESTION)) as deltas:
        assert await anext(deltas) == CallAccepted()
        assert await anext(deltas) == TextDelta("a")
    assert model.closed == [True]


async def test_cancelling_the_consumer_ends_the_models_own_stream() -> None:
    model = played(AIMessageChunk(content="a"), 60.0)
    reading = asyncio.create_task(read(adapted(model)))
    await asyncio.sleep(0.1)
    assert model.asked
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert model.closed == [True]


async def test_a_stream_without_a_chunk_is_broken() -> None:
    assert isinstance((await read(adapted(played()))).error, ProviderBrokenError)


async def test_tools_for_a_model_that_knows_none_are_rejected() -> None:
    model = FakeListChatModel(responses=["abc"])
    result = await read(adapted(model), replace(QUESTION, tools=(WEATHER,)))
    assert isinstance(result.error, ProviderRejectedError)


async def test_identical_calls_are_never_answered_from_a_cache() -> None:
    model = PlayedChatModel(whole=AIMessage("so"), cache=True)
    adapter = adapted(model)
    for _ in range(3):
        assert (await read(adapter)).text == "so"
    assert len(model.asked) == 3


@pytest.mark.parametrize("name", ["gpt-5", ":gpt-5", "openai:", ""])
def test_a_name_without_a_provider_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="provider:model"):
        load_model(name)


def test_a_missing_langchain_is_named() -> None:
    with pytest.raises(MissingPackageError, match="needs the package langchain,") as refusal:
        load_model("openai:gpt-5")
    assert refusal.value.package == "langchain"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("google_genai:gemini", "langchain-google-genai"),
        ("bedrock:claude", "langchain-aws"),
        ("played:small", "max_retries=0"),
    ],
)
async def test_a_missing_integration_is_named_and_a_present_one_used(
    tmp_path: Path, name: str, said: str
) -> None:
    """Against a stand-in for the package `langchain`, in a process that finds it."""
    (tmp_path / "langchain").mkdir()
    (tmp_path / "langchain" / "__init__.py").touch()
    (tmp_path / "langchain" / "chat_models.py").write_text(
        "def init_chat_model(model, *, model_provider, **options):\n"
        "    if model_provider != 'played':\n"
        "        raise ImportError('no integration')\n"
        "    return ' '.join(f'{name}={value}' for name, value in options.items())\n"
    )
    program = (
        "import sys\n"
        "from providers.langchain.load import MissingPackageError, load_model\n"
        "try:\n"
        "    print(load_model(sys.argv[1]))\n"
        "except MissingPackageError as error:\n"
        "    print(error.package)\n"
    )
    path = os.pathsep.join((str(ROOT), str(tmp_path)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        name,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == said
