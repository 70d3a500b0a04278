"""A pool of models as a chat model of LangChain."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langgraph.constants import TAG_NOSTREAM
from pydantic import ConfigDict, PrivateAttr

from agents.events import Channel
from agents.own.messages import offer, split
from agents.own.record import TurnRecord
from agents.own.voice import Voice
from agents.prompt import fit
from providers.base import (
    ChatModel,
    Delta,
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from providers.pool.run_budget import LimitReachedError

_PLACE = "langgraph_checkpoint_ns"
_KNOWN = frozenset(("tools", "tool_choice", "temperature", "max_tokens", "seed", "stream"))


class RunModel(BaseChatModel):
    """The model of one run: asynchronous, and each call is new.

    What it writes goes out through the run's voice as it comes, whether it is asked by `ainvoke` or
    `astream`, but for calls with the tag `nostream`. `with_structured_output` is that of the base class: by
    a tool that has to be used.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _model: ChatModel = PrivateAttr()
    _voice: Voice = PrivateAttr()
    _record: TurnRecord = PrivateAttr()
    _request: ModelRequest = PrivateAttr()
    _system: str = PrivateAttr()

    def __init__(
        self, model: ChatModel, voice: Voice, record: TurnRecord, request: ModelRequest, system: str
    ) -> None:
        """`request` holds what every call has in common; `system` stands before messages that have none."""
        answers_anew: dict[str, Any] = {"cache": False}  # nor may LangChain's global one answer
        super().__init__(**answers_anew)
        self._model = model
        self._voice = voice
        self._record = record
        self._request = request
        self._system = system

    @property
    def _llm_type(self) -> str:
        return "llm-orchestrator"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: object = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may use: any of LangChain's forms."""
        kwargs.pop("strict", None)
        kwargs.pop("parallel_tool_calls", None)
        return self.bind(tools=list(tools), tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        raise NotImplementedError("this model is asynchronous: use ainvoke or astream")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        async with aclosing(self._chunks(messages, stop, run_manager, kwargs)) as chunks:
            return await agenerate_from_stream(chunks)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._chunks(messages, stop, run_manager, kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        options: dict[str, Any],
    ) -> AsyncGenerator[ChatGenerationChunk]:
        request, ear, numbers = self._request_of(messages, stop, options), _ear(run_manager), count()
        try:
            async with aclosing(self._model.stream(request)) as deltas:
                async for delta in deltas:
                    if ear.aloud:
                        self._say(ear, delta)
                    if isinstance(delta, ModelFinished):
                        self._record.finished = delta
                    if (message := _message(delta, numbers)) is not None:
                        yield ChatGenerationChunk(message=message)
        except LimitReachedError as reached:
            self._record.reached = reached
            raise
        finally:
            self._voice.over(ear.speaker)

    def _say(self, ear: "_Ear", delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            self._voice.call(ear.speaker, ear.place, delta.text)
        elif isinstance(delta, ReasoningDelta):
            self._voice.call(ear.speaker, ear.place, delta.text, Channel.REASONING)

    def _request_of(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> ModelRequest:
        if stop or (strange := options.keys() - _KNOWN):
            raise ValueError(f"this model takes no {', '.join(sorted(strange)) if not stop else 'stop'}")
        common, info = self._request, self._model.info
        system, past, turn = split(messages)
        tools, choice = offer(options.get("tools") or (), options.get("tool_choice"))
        most = options.get("max_tokens") or common.max_output_tokens
        return ModelRequest(
            messages=fit(system or self._system, past, turn, info.context_tokens),
            max_output_tokens=most,
            temperature=options.get("temperature", common.temperature),
            seed=options.get("seed", common.seed),
            deadline=common.deadline,
            tools=tools,
            tool_choice=choice,
        )


@dataclass(frozen=True, slots=True)
class _Ear:
    """Who speaks in which step of the graph, and whether the caller is to hear it."""

    speaker: str
    place: str
    aloud: bool


def _ear(run_manager: AsyncCallbackManagerForLLMRun | None) -> _Ear:
    if run_manager is None:
        return _Ear(uuid4().hex, "", aloud=True)
    place = (run_manager.metadata or {}).get(_PLACE, "")
    return _Ear(uuid4().hex, place, aloud=TAG_NOSTREAM not in (run_manager.tags or ()))


def _message(delta: Delta, numbers: Iterator[int]) -> AIMessageChunk | None:
    match delta:
        case TextDelta():
            return AIMessageChunk(content=delta.text)
        case ToolCallDelta(call):
            # The id is ours: the provider's never leaves it.
            wish = tool_call_chunk(name=call.name, args=call.arguments, id=uuid4().hex, index=next(numbers))
            return AIMessageChunk(content="", tool_call_chunks=[wish])
        case ModelFinished():
            return _end(delta)
        case _:
            return None


def _end(finished: ModelFinished) -> AIMessageChunk:
    about = {
        "finish_reason": finished.finish_reason.value,
        "model_name": finished.model,
        "model_provider": finished.provider,
    }
    return AIMessageChunk(content="", response_metadata=about, usage_metadata=_usage(finished))


def _usage(finished: ModelFinished) -> UsageMetadata | None:
    if (tokens := finished.tokens) is None:
        return None
    return UsageMetadata(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        total_tokens=tokens.input_tokens + tokens.output_tokens,
        input_token_details={"cache_read": tokens.cached_input_tokens},
        output_token_details={"reasoning": tokens.reasoning_tokens},
    )
