"""Any LangChain chat model as a `ChatModel`: for vendors without an adapter, at several times the cost."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from providers.base import CallAccepted, Delta, ModelFinished, ModelInfo, ModelRequest
from providers.http.sse import BrokenStreamError
from providers.http.timeouts import Patience, ProviderTimeouts
from providers.langchain.answer import LangChainAnswer
from providers.langchain.failures import translated
from providers.langchain.request import messages_of, offer_of
from state.errors import DeadlineExceededError, ProviderBrokenError, ProviderRejectedError

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {"max_output_tokens": "max_tokens", "temperature": "temperature"}
)
"""What most integrations call a request's parameters. Few know a seed."""


class LangChainModel:
    """One model that LangChain calls.

    LangChain tells no request id and no limits, and a stream that ends early looks like one that ends well.
    `parameters`: the integration's names; what has none is left to the provider.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        provider: str,
        name: str,
        context_tokens: int,
        timeouts: ProviderTimeouts,
        max_output_tokens: int | None = None,
        tools: bool = True,
        images: bool = False,
        json_schema: bool = True,
        parameters: Mapping[str, str] = PARAMETERS,
    ) -> None:
        # Every request is a call of its own: neither the model's cache nor LangChain's global one may answer.
        self._model = model.model_copy(update={"cache": False})
        limits = (context_tokens, max_output_tokens)
        self._info = ModelInfo(provider, name, *limits, tools=tools, images=images, json_schema=json_schema)
        self._timeouts = timeouts
        self._parameters = dict(parameters)

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is written; see `ChatModel.stream`."""
        try:
            async with aclosing(self._read(request)) as deltas:
                async for delta in deltas:
                    yield delta
        except BrokenStreamError as error:
            raise ProviderBrokenError(f"provider {self._info.provider!r} {error}") from error

    async def probe(self) -> None:
        """LangChain has no way to reach a provider without a completion, so this always returns."""

    async def _read(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        patience = Patience(self._timeouts, request.deadline)
        schema_tool = None if request.json_schema is None else request.json_schema.name
        answer = LangChainAnswer(self._info.model, schema_tool=schema_tool)
        async with aclosing(self._chunks(request)) as chunks:
            accepted = False
            while (chunk := await self._next(chunks, patience)) is not None:
                if not accepted:
                    accepted = True
                    yield CallAccepted()
                began, gathered = False, answer.gathered
                for delta in answer.read(chunk):
                    began = patience.started = True
                    yield delta
                if began or answer.gathered != gathered:
                    patience.renew()
        if not accepted:
            raise BrokenStreamError("ended its stream before its answer")
        for call in answer.finish():
            yield call
        yield ModelFinished(
            finish_reason=answer.finish_reason,
            generation_id=answer.generation_id,
            provider=self._info.provider,
            model=answer.model,
            tokens=answer.tokens(),
        )

    def _chunks(self, request: ModelRequest) -> AsyncGenerator[BaseMessage]:
        values = {"max_output_tokens": request.max_output_tokens, "temperature": request.temperature}
        values["seed"] = request.seed
        options: dict[str, Any] = {
            self._parameters[name]: value
            for name, value in values.items()
            if value is not None and name in self._parameters
        }
        stream = self._offering(request).astream(messages_of(request.messages), **options)
        return cast("AsyncGenerator[BaseMessage]", stream)

    def _offering(self, request: ModelRequest) -> Runnable[list[BaseMessage], BaseMessage]:
        tools, choice = offer_of(request)
        if not tools:
            return cast("Runnable[list[BaseMessage], BaseMessage]", self._model)
        try:
            bound = self._model.bind_tools(tools, tool_choice=choice)
        except NotImplementedError:
            name = self._info.provider
            raise ProviderRejectedError(f"the integration of provider {name!r} knows no tools") from None
        except Exception as error:  # noqa: BLE001  # as in `_next`
            raise translated(self._info.provider, error, started=False) from None
        return cast("Runnable[list[BaseMessage], BaseMessage]", bound)

    async def _next(self, chunks: AsyncIterator[BaseMessage], patience: Patience) -> BaseMessage | None:
        """The next chunk, None at the end."""
        try:
            async with asyncio.timeout_at(patience.deadline):
                return await anext(chunks, None)
        except Exception as error:  # noqa: BLE001  # an integration raises whatever its vendor's client raises
            if isinstance(error, TimeoutError) and patience.caller_stopped_waiting:
                raise DeadlineExceededError("the caller's deadline has passed") from None
            # Not the cause: its text may quote the key or the prompt, and tracebacks are logged.
            raise translated(self._info.provider, error, started=patience.started) from None
