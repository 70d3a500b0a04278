"""The local path: a small chat of the backend's own, told as the orchestrator tells one.

status, agent_update, content..., complete; or an `error`, as it is in a run's log. Nothing is kept and
nothing can be resumed, so no event has a sequence. What was said before is what the request brings along.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import grpc

from backend.settings import LocalSettings
from llm_orchestrator_client.errors import ServerError
from llm_orchestrator_client.events import AgentUpdate, Completion, ContentDelta, Event, Failure, StatusUpdate
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import Channel, ErrorDetail, FinishReason, TaskState, Usage

_FINISHED = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_AGENT = "chat"
_DATA = b"data: "
_LINE_BYTES = 1 << 20
_Code = grpc.StatusCode


class _ProviderError(Exception):
    """The provider did not answer, or not to its end."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.detail = ErrorDetail(code.value[0], reason, message, retryable, None, {})


@dataclass
class _Answer:
    """What has come so far."""

    text: str = ""
    finish: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)

    def take(self, chunk: dict[str, Any]) -> str:
        """The text that a chunk adds."""
        self.model = chunk.get("model") or self.model
        if counted := chunk.get("usage"):
            tokens = counted.get("prompt_tokens", 0), counted.get("completion_tokens", 0)
            self.usage = Usage(*tokens, model_calls=1)
        choice = (chunk.get("choices") or [{}])[0]
        self.finish = choice.get("finish_reason") or self.finish
        text = str((choice.get("delta") or {}).get("content") or "")
        self.text += text
        return text

    def must_be_whole(self) -> None:
        """Raises: _ProviderError: it ended without saying that it was done."""
        if not self.finish:
            raise _broken()


class LocalChat:
    """Answers from an OpenAI-compatible endpoint. Without one every answer is a failure that says so."""

    def __init__(self, session: aiohttp.ClientSession, settings: LocalSettings) -> None:
        self._session = session
        self._settings = settings

    async def __call__(self, request: pb.ChatRequest) -> AsyncGenerator[Event]:
        """One turn. Raises: ServerError: the provider's answer cannot be read as what it should be."""
        answer = _Answer()
        about = {"conversation_id": request.conversation_id, "path": "local"}
        yield StatusUpdate(TaskState.RUNNING, "Answering", **_carried(about))
        yield AgentUpdate(_AGENT, routing_reason="local", **_carried({}))
        try:
            async for chunk in self._chunks(request):
                offset = len(answer.text.encode())
                if text := answer.take(chunk):
                    yield ContentDelta(text, 0, Channel.ANSWER, offset, **_carried({}))
            answer.must_be_whole()
        except _ProviderError as error:
            yield Failure(error.detail, **_carried({"path": "local"}))
            return
        reason = _FINISHED.get(answer.finish, FinishReason.STOP)
        end = {"model": answer.model, "provider": "local", "task_status": "complete", "path": "local"}
        yield Completion(reason, answer.text, usage=answer.usage, **_carried(end))

    async def _chunks(self, request: pb.ChatRequest) -> AsyncIterator[dict[str, Any]]:
        settings = self._settings
        if not settings.base_url:
            raise _ProviderError(
                _Code.UNAVAILABLE, "LOCAL_PATH_MISSING", "no local path is configured", retryable=False
            )
        key = settings.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        begun = False
        try:
            async with self._session.post(
                f"{settings.base_url}/chat/completions",
                json=self._body(request),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=settings.seconds),
            ) as response:
                _raise_for(response.status)
                async for line in response.content:
                    begun = True
                    if line.startswith(_DATA + b"{"):
                        yield json.loads(line[len(_DATA) :])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise (_broken() if begun else _unavailable()) from error
        except ValueError as error:
            raise ServerError("the provider's answer is not what it should be") from error

    def _body(self, request: pb.ChatRequest) -> dict[str, Any]:
        said = [{"role": m.role, "content": m.content} for m in request.conversation_history]
        system = {"role": "system", "content": self._settings.system}
        return {
            "model": self._settings.model,
            "messages": [system, *said, {"role": "user", "content": request.query}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def local_session() -> aiohttp.ClientSession:
    """The connections of a LocalChat; whoever makes it closes it."""
    return aiohttp.ClientSession(read_bufsize=_LINE_BYTES)


def _raise_for(status: int) -> None:
    if status < 400:  # noqa: PLR2004 - HTTP's own
        return
    if status in (429, 529):
        raise _ProviderError(
            _Code.RESOURCE_EXHAUSTED, "PROVIDER_SATURATED", "the provider has no room", retryable=True
        )
    if status >= 500:  # noqa: PLR2004
        raise _unavailable()
    raise _ProviderError(
        _Code.INTERNAL, "PROVIDER_REJECTED", "the provider refused the request", retryable=False
    )


def _broken() -> _ProviderError:
    return _ProviderError(_Code.UNAVAILABLE, "PROVIDER_BROKEN", "the answer broke off", retryable=True)


def _unavailable() -> _ProviderError:
    return _ProviderError(
        _Code.UNAVAILABLE, "PROVIDER_UNAVAILABLE", "the provider is unavailable", retryable=True
    )


def _carried(metadata: dict[str, str]) -> dict[str, Any]:
    return {"time": datetime.now(UTC), "agent_name": _AGENT, "metadata": metadata}
