"""An answer in Anthropic's events."""

from collections.abc import Sequence
from typing import Any

from providers.base import Delta, ReasoningDelta, TextDelta, TokenCount
from providers.http.answer import Answer, Event, as_object, as_text, count_of, decode
from providers.http.sse import BrokenStreamError
from providers.http.tool_calls import PartialCalls
from state.models import FinishReason

_STOP_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_SATURATED = frozenset(("overloaded_error", "rate_limit_error"))
_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class AnthropicAnswer(Answer):
    """Ends with `message_stop`. What the model hands to `schema_tool` is the answer's text."""

    __slots__ = ("_calls", "_schema_blocks", "_schema_tool", "_usage")

    def __init__(self, model: str, *, schema_tool: str | None = None) -> None:
        super().__init__(model)
        self._calls = PartialCalls()
        self._usage: dict[str, Any] = {}
        self._schema_tool = schema_tool
        self._schema_blocks: set[object] = set()

    def tokens(self) -> TokenCount | None:
        written = count_of(self._usage, "output_tokens")
        if written is None or count_of(self._usage, "input_tokens") is None:
            return None
        # `input_tokens` leaves out what came from the cache or went into it.
        read = sum(count_of(self._usage, name) or 0 for name in _INPUT_COUNTS)
        cached = count_of(self._usage, "cache_read_input_tokens") or 0
        # Thoughts are among the output; how many they are, the API does not say.
        return TokenCount(read, written, cached_input_tokens=cached)

    def _read(self, data: bytes) -> Sequence[Delta]:
        event = decode(data)
        match event.get("type"):
            case "content_block_delta":
                return self._read_delta(event.get("index"), as_object(event.get("delta")))
            case "content_block_start":
                return self._start_block(event.get("index"), as_object(event.get("content_block")))
            case "message_start":
                message = as_object(event.get("message"))
                self._identify(message.get("id"), message.get("model"))
                self._count(message.get("usage"))
            case "message_delta":
                self._count(event.get("usage"))
                return self._finish(as_object(event.get("delta")).get("stop_reason"))
            case "message_stop":
                self.done = True
            case "error":
                raise _reported(event)
        # Pings, ends of blocks, and what the API may add: its rules tell clients to skip unknown events.
        return ()

    def _read_delta(self, index: object, delta: Event) -> Sequence[Delta]:
        match delta.get("type"):
            case "text_delta":
                text = as_text(delta.get("text"))
                return (TextDelta(text),) if text else ()
            case "thinking_delta":
                thought = as_text(delta.get("thinking"))
                return (ReasoningDelta(thought),) if thought else ()
            case "input_json_delta":
                return self._read_input(_key(index), as_text(delta.get("partial_json")))
        return ()

    def _read_input(self, key: int, fragment: str) -> Sequence[Delta]:
        if key in self._schema_blocks:
            return (TextDelta(fragment),) if fragment else ()
        self.gathered += 1
        self._calls.add(key, fragment)
        return ()

    def _start_block(self, index: object, block: Event) -> Sequence[Delta]:
        match block.get("type"):
            case "tool_use":
                name = as_text(block.get("name"))
                if name == self._schema_tool:
                    self._schema_blocks.add(_key(index))
                else:
                    self._calls.begin(_key(index), as_text(block.get("id")), name)
            case "text" if text := block.get("text"):
                return (TextDelta(as_text(text)),)
        return ()

    def _finish(self, reason: object) -> Sequence[Delta]:
        if reason is None:
            return ()
        finish = _STOP_REASONS.get(str(reason), FinishReason.STOP)
        calls = self._calls.take(cut_short=finish is FinishReason.LENGTH)
        if finish is FinishReason.TOOL_CALLS and not calls:
            finish = FinishReason.STOP
        self.finish_reason = finish
        return calls

    def _count(self, usage: object) -> None:
        """Take over the counts of `usage`: later ones are totals, and may leave out what did not change."""
        if isinstance(usage, dict):
            self._usage.update((name, value) for name, value in usage.items() if value is not None)


def _key(index: object) -> int:
    if not isinstance(index, int):
        raise BrokenStreamError("sent a chunk of an unknown form")
    return index


def _reported(event: Event) -> BrokenStreamError:
    error = event.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    saturated = isinstance(kind, str) and kind in _SATURATED
    return BrokenStreamError("reported an error inside its answer", saturated=saturated)
