"""An answer in OpenAI's chunks."""

from collections.abc import Sequence
from typing import Any

from providers.base import Delta, ReasoningDelta, TextDelta, TokenCount
from providers.http.answer import Answer, Event, as_list, as_object, as_text, count_of, decode, unknown_form
from providers.http.sse import BrokenStreamError
from providers.http.tool_calls import PartialCalls
from state.models import FinishReason

_DONE = b"[DONE]"
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
}
_SATURATED = frozenset((429, 529, "rate_limit_exceeded", "rate_limit_error", "overloaded_error"))


class OpenAIAnswer(Answer):
    """Ends with [DONE]; many servers leave that out."""

    __slots__ = ("_calls", "_usage")

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._calls = PartialCalls()
        self._usage: dict[str, Any] | None = None

    def tokens(self) -> TokenCount | None:
        usage = self._usage or {}
        written, read = count_of(usage, "completion_tokens"), count_of(usage, "prompt_tokens")
        if written is None or read is None:
            return None
        cached = count_of(usage.get("prompt_tokens_details"), "cached_tokens")
        if cached is None:  # DeepSeek's name for it
            cached = count_of(usage, "prompt_cache_hit_tokens")
        reasoning = count_of(usage.get("completion_tokens_details"), "reasoning_tokens") or 0
        if count_of(usage, "total_tokens") == read + written + reasoning:
            written += reasoning  # xAI counts thoughts beside the answer, OpenAI in it
        return TokenCount(read, written, cached_input_tokens=cached or 0, reasoning_tokens=reasoning)

    def _read(self, data: bytes) -> Sequence[Delta]:
        if data == _DONE:
            self.done = True
            # A server that gives no finish reason may have asked for tools all the same.
            return self._finish("stop") if self._calls else ()
        chunk = decode(data)
        if chunk.get("error") is not None or chunk.get("object") == "error":
            raise _reported(chunk)
        if not self.generation_id:
            self._identify(chunk.get("id"), chunk.get("model"))
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        choices = chunk.get("choices")
        if not choices:
            return ()
        if not isinstance(choices, list) or not isinstance(choice := choices[0], dict):
            raise unknown_form()
        deltas = self._read_delta(choice.get("delta") or {})
        if reason := choice.get("finish_reason"):
            return [*deltas, *self._finish(reason)]
        return deltas

    def _read_delta(self, delta: object) -> Sequence[Delta]:
        if not isinstance(delta, dict):
            raise unknown_form()
        if len(delta) == 1 and isinstance(content := delta.get("content"), str):
            # Nearly all chunks are this.
            return (TextDelta(content),) if content else ()
        if calls := delta.get("tool_calls"):
            for position, fragment in enumerate(as_list(calls)):
                self._gather(as_object(fragment), position)
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        content = delta.get("content")
        if content and not reasoning:
            return (TextDelta(as_text(content)),)
        deltas: list[Delta] = [ReasoningDelta(as_text(reasoning))] if reasoning else []
        return [*deltas, TextDelta(as_text(content))] if content else deltas

    def _gather(self, fragment: Event, position: int) -> None:
        function = as_object(fragment.get("function") or {})
        self.gathered += 1
        key = fragment.get("index", position)
        if not isinstance(key, int | None):
            raise unknown_form()
        call_id = as_text(fragment.get("id") or "")
        if self._calls.begins(key, call_id):
            self._calls.begin(key, call_id, as_text(function.get("name") or ""))
        if arguments := function.get("arguments"):
            self._calls.add(key, as_text(arguments))

    def _finish(self, reason: object) -> Sequence[Delta]:
        if reason == "error":
            raise BrokenStreamError("reported an error inside its answer")
        finish = _FINISH_REASONS.get(str(reason), FinishReason.STOP)
        calls = self._calls.take(cut_short=finish is FinishReason.LENGTH)
        # Some servers say "stop" after tool calls too.
        if calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        self.finish_reason = finish
        return calls


def _reported(chunk: Event) -> BrokenStreamError:
    error = chunk.get("error")
    told = error if isinstance(error, dict) else chunk
    kinds = (told.get("code"), told.get("type"))
    saturated = any(isinstance(kind, int | str) and kind in _SATURATED for kind in kinds)
    return BrokenStreamError("reported an error inside its answer", saturated=saturated)
