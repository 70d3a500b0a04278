"""An answer in Gemini's chunks."""

from collections.abc import Sequence
from typing import Any

import orjson

from providers.base import Delta, ReasoningDelta, TextDelta, TokenCount, ToolCallDelta
from providers.gemini.calls import new_call_id
from providers.http.answer import Answer, Event, as_list, as_object, as_text, count_of, decode
from providers.http.sse import BrokenStreamError
from state.models import FinishReason, ToolCall

_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "OTHER": FinishReason.CONTENT_FILTER,
}
_FAILURES = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    )
)
_SATURATED = frozenset((429, "RESOURCE_EXHAUSTED"))


class GeminiAnswer(Answer):
    """Ends with the HTTP message; whole when there was a finish reason, or the prompt was blocked."""

    __slots__ = ("_has_calls", "_requested", "_usage")

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._requested = model
        self._usage: dict[str, Any] | None = None
        self._has_calls = False

    def tokens(self) -> TokenCount | None:
        usage = self._usage or {}
        if (read := count_of(usage, "promptTokenCount")) is None:
            return None
        # The count of the answer leaves out the thoughts, and is left out itself when it is nothing.
        thoughts = count_of(usage, "thoughtsTokenCount") or 0
        written = (count_of(usage, "candidatesTokenCount") or 0) + thoughts
        cached = count_of(usage, "cachedContentTokenCount") or 0
        return TokenCount(read, written, cached_input_tokens=cached, reasoning_tokens=thoughts)

    def _read(self, data: bytes) -> Sequence[Delta]:
        chunk = decode(data)
        if chunk.get("error") is not None:
            raise _reported(chunk["error"])
        if not self.generation_id:
            self._identify(chunk.get("responseId"), chunk.get("modelVersion"))
        if isinstance(usage := chunk.get("usageMetadata"), dict):
            self._usage = usage
        if not (candidates := chunk.get("candidates")):
            feedback = chunk.get("promptFeedback")
            if isinstance(feedback, dict) and feedback.get("blockReason"):
                self.finish_reason = FinishReason.CONTENT_FILTER
            return ()
        candidate = as_object(as_list(candidates)[0])
        parts = as_list(as_object(candidate.get("content") or {}).get("parts") or [])
        deltas = [delta for part in parts if (delta := self._read_part(as_object(part))) is not None]
        if reason := candidate.get("finishReason"):
            self._finish(reason)
        return deltas

    def _read_part(self, part: Event) -> Delta | None:
        if (call := part.get("functionCall")) is not None:
            return self._read_call(as_object(call), as_text(part.get("thoughtSignature") or ""))
        if not (text := part.get("text")):
            return None
        return ReasoningDelta(as_text(text)) if part.get("thought") else TextDelta(as_text(text))

    def _read_call(self, call: Event, signature: str) -> ToolCallDelta:
        self._has_calls = True
        call_id = new_call_id(as_text(call.get("id") or ""), self._requested, signature)
        try:
            arguments = orjson.dumps(as_object(call.get("args") or {})).decode()
        except orjson.JSONEncodeError as error:  # it reads deeper nesting than it writes
            raise BrokenStreamError("sent a tool call that is nested too deeply") from error
        return ToolCallDelta(ToolCall(call_id, as_text(call.get("name")), arguments))

    def _finish(self, reason: object) -> None:
        if str(reason) in _FAILURES:
            raise BrokenStreamError("could not finish its answer")
        finish = _FINISH_REASONS.get(str(reason), FinishReason.STOP)
        if finish is FinishReason.STOP and self._has_calls:
            finish = FinishReason.TOOL_CALLS
        self.finish_reason = finish


def _reported(error: object) -> BrokenStreamError:
    kinds = (error.get("code"), error.get("status")) if isinstance(error, dict) else ()
    saturated = any(isinstance(kind, int | str) and kind in _SATURATED for kind in kinds)
    return BrokenStreamError("reported an error inside its answer", saturated=saturated)
