"""The vendor's JSON: requests out, chunks of an answer in."""

from collections.abc import Iterator
from typing import Any

import orjson

from providers.base import ModelRequest, ReasoningDelta, TextDelta, TokenCount
from providers.openai_compatible.sse import BrokenStreamError, EventParser
from state.models import FinishReason

_DONE = b"[DONE]"
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def encode_request(model: str, request: ModelRequest, *, limit_field: str) -> bytes:
    """The body of a streaming call; `limit_field` is the vendor's name for the most tokens to write."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    optional = {
        limit_field: request.max_output_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    body.update((name, value) for name, value in optional.items() if value is not None)
    return orjson.dumps(body)


class Answer:
    """One answer as far as it has arrived.

    `done`: the provider said that nothing follows. `finish_reason` is set when the text is complete; only the
    token count may still follow.
    """

    __slots__ = ("_events", "_usage", "done", "finish_reason", "generation_id", "model")

    def __init__(self, model: str) -> None:
        self.done = False
        self.finish_reason: FinishReason | None = None
        self.generation_id = ""
        self.model = model
        self._usage: dict[str, Any] | None = None
        self._events = EventParser()

    @property
    def complete(self) -> bool:
        return self.done or self.finish_reason is not None

    def feed(self, received: bytes) -> Iterator[TextDelta | ReasoningDelta]:
        """Yield what `received` adds.

        Raises:
            BrokenStreamError: After the deltas before it.
        """
        for data in self._events.feed(received):
            if data == _DONE:
                self.done = True
                return
            if not data:
                continue
            delta = self._read(_decode(data))
            if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
                yield ReasoningDelta(_text(reasoning))
            if content := delta.get("content"):
                yield TextDelta(_text(content))

    def tokens(self) -> TokenCount | None:
        """None when the provider reported none, or nothing usable."""
        usage = self._usage or {}
        written, read = _count(usage, "completion_tokens"), _count(usage, "prompt_tokens")
        if written is None or read is None:
            return None
        cached = _count(usage.get("prompt_tokens_details"), "cached_tokens")
        reasoning = _count(usage.get("completion_tokens_details"), "reasoning_tokens")
        return TokenCount(read, written, cached_input_tokens=cached or 0, reasoning_tokens=reasoning or 0)

    def _read(self, chunk: dict[str, Any]) -> dict[str, Any]:
        if chunk.get("error") is not None or chunk.get("object") == "error":
            raise BrokenStreamError("reported an error inside its answer")
        if not self.generation_id:
            self._identify(chunk)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        choices = chunk.get("choices")
        if not choices:
            return {}
        if not isinstance(choices, list) or not isinstance(choice := choices[0], dict):
            raise BrokenStreamError("sent a chunk of an unknown form")
        if reason := choice.get("finish_reason"):
            self._finish(reason)
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise BrokenStreamError("sent a chunk of an unknown form")
        return delta

    def _identify(self, chunk: dict[str, Any]) -> None:
        if isinstance(name := chunk.get("id"), str):
            self.generation_id = name
        if isinstance(model := chunk.get("model"), str) and model:
            self.model = model

    def _finish(self, reason: object) -> None:
        if reason == "error":
            raise BrokenStreamError("reported an error inside its answer")
        self.finish_reason = _FINISH_REASONS.get(str(reason), FinishReason.STOP)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokenStreamError("sent an event that is not JSON") from error
    if not isinstance(chunk, dict):
        raise BrokenStreamError("sent a chunk of an unknown form")
    return chunk


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenStreamError("sent a chunk of an unknown form")
    return value


def _count(values: object, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, int) and value >= 0 else None
