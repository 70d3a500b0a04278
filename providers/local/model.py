"""The local model as a `ChatModel`."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType

from providers.base import (
    ChatModel,
    Delta,
    ModelFinished,
    ModelInfo,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
)
from providers.local.child import MODEL_NAME
from providers.local.server import LocalModelServer
from providers.local.tools import answering, call_of, calling, calls
from state.errors import ProviderUnavailableError
from state.models import FinishReason

PROVIDER_NAME = "local"

# llama.cpp ends the connection after a streamed answer without saying so: a client that keeps it sends its
# next request into a closed socket.
CONNECTION_HEADERS: Mapping[str, str] = MappingProxyType({"Connection": "close"})


class LocalModel:
    """Answers with the child process of `server`, wherever that listens now.

    `connect` builds the model for a base URL and must send `CONNECTION_HEADERS`. A call waits up to
    `ready_seconds` for a child that is starting.
    """

    def __init__(
        self,
        server: LocalModelServer,
        connect: Callable[[str], ChatModel],
        *,
        context_tokens: int,
        max_output_tokens: int | None = None,
        ready_seconds: float = 10.0,
    ) -> None:
        self._server = server
        self._connect = connect
        self._ready_seconds = ready_seconds
        self._info = ModelInfo(PROVIDER_NAME, MODEL_NAME, context_tokens, max_output_tokens)
        self._connected: tuple[str, ChatModel] | None = None

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is written, a call of a tool once it is whole; see `ChatModel.stream`."""
        await self._wait_until_ready()
        answered = self._call(request) if calls(request) else self._model().stream(answering(request))
        async with aclosing(answered) as deltas:
            async for delta in deltas:
                yield delta

    async def probe(self) -> None:
        """Return when a child is ready and can be reached; see `ChatModel.probe`."""
        await self._model().probe()

    async def _call(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        pieces: list[str] = []
        async with aclosing(self._model().stream(calling(request))) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        pieces.append(delta.text)
                    case ModelFinished() if call := call_of("".join(pieces)):
                        yield ToolCallDelta(call)
                        yield replace(delta, finish_reason=FinishReason.TOOL_CALLS)
                    case _:
                        yield delta

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._ready_seconds):
                await self._server.ready()
        except TimeoutError as error:
            raise ProviderUnavailableError(f"the local model is {self._server.state}") from error

    def _model(self) -> ChatModel:
        base_url = self._server.base_url
        if self._connected is None or self._connected[0] != base_url:
            self._connected = (base_url, self._connect(base_url))
        return self._connected[1]
