"""An answer in LangChain's chunks."""

from collections.abc import Iterator, Sequence

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk

from providers.base import Delta, ReasoningDelta, TextDelta, TokenCount, ToolCallDelta
from providers.http.tool_calls import PartialCalls
from state.models import FinishReason

_FINISH_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "recitation": FinishReason.CONTENT_FILTER,
    "prohibited_content": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
}
_REASON_NAMES = ("finish_reason", "stop_reason", "done_reason")
_REASONING = {"thinking": "thinking", "reasoning": "reasoning", "reasoning_content": "reasoning_content"}
_LANGCHAINS_OWN_IDS = ("lc_", "run-")


class LangChainAnswer:
    """What has arrived so far. What the model hands to `schema_tool` is the answer's text."""

    def __init__(self, model: str, *, schema_tool: str | None) -> None:
        self.finish_reason = FinishReason.STOP
        self.generation_id = ""
        self.model = model
        self.gathered = 0
        self._calls = PartialCalls()
        self._usage: list[UsageMetadata] = []
        self._schema_tool = schema_tool
        self._schema_keys: set[object] = set()

    def read(self, chunk: BaseMessage) -> Iterator[Delta]:
        """Yield what `chunk` adds."""
        if not isinstance(chunk, AIMessage):
            return
        self._note(chunk)
        if reasoning := chunk.additional_kwargs.get("reasoning_content"):
            yield ReasoningDelta(str(reasoning))
        yield from _content(chunk.content)
        if isinstance(chunk, AIMessageChunk):
            for fragment in chunk.tool_call_chunks:
                yield from self._gather(fragment)
        else:
            yield from self._gather_whole(chunk)

    def finish(self) -> Sequence[ToolCallDelta]:
        """The tool calls, once all has been read."""
        calls = self._calls.take(cut_short=self.finish_reason is FinishReason.LENGTH)
        if calls and self.finish_reason is FinishReason.STOP:
            self.finish_reason = FinishReason.TOOL_CALLS
        return calls

    def tokens(self) -> TokenCount | None:
        """The sum of what the chunks report, which is how integrations count; None when none does."""
        if not self._usage:
            return None
        return TokenCount(
            input_tokens=sum(usage["input_tokens"] for usage in self._usage),
            output_tokens=sum(usage["output_tokens"] for usage in self._usage),
            cached_input_tokens=sum(
                usage.get("input_token_details", {}).get("cache_read", 0) for usage in self._usage
            ),
            reasoning_tokens=sum(
                usage.get("output_token_details", {}).get("reasoning", 0) for usage in self._usage
            ),
        )

    def _note(self, chunk: AIMessage) -> None:
        if chunk.id and not chunk.id.startswith(_LANGCHAINS_OWN_IDS):
            self.generation_id = chunk.id
        if chunk.usage_metadata:
            self._usage.append(chunk.usage_metadata)
        told = chunk.response_metadata
        if not told:
            return
        self.model = str(told.get("model_name") or told.get("model") or self.model)
        for name in _REASON_NAMES:
            if reason := told.get(name):
                self.finish_reason = _FINISH_REASONS.get(str(reason).lower(), FinishReason.STOP)

    def _gather(self, fragment: ToolCallChunk) -> Iterator[TextDelta]:
        self.gathered += 1
        key, call_id = fragment.get("index"), fragment.get("id") or ""
        if self._calls.begins(key, call_id) and key not in self._schema_keys:
            if fragment["name"] == self._schema_tool:
                self._schema_keys.add(key)
            else:
                self._calls.begin(key, call_id, fragment["name"] or "")
        arguments = fragment["args"]
        if not arguments:
            return
        if key in self._schema_keys:
            yield TextDelta(arguments)
        else:
            self._calls.add(key, arguments)

    def _gather_whole(self, message: AIMessage) -> Iterator[TextDelta]:
        whole = [
            (call["id"], call["name"], orjson.dumps(call["args"]).decode()) for call in message.tool_calls
        ]
        whole += [(call["id"], call["name"] or "", call["args"] or "") for call in message.invalid_tool_calls]
        for number, (call_id, name, arguments) in enumerate(whole):
            yield from self._gather(
                ToolCallChunk(name=name, args=arguments, id=call_id, index=number, type="tool_call_chunk")
            )


def _content(content: object) -> Iterator[Delta]:
    blocks = content if isinstance(content, list) else [content]
    for block in blocks:
        if isinstance(block, str):
            if block:
                yield TextDelta(block)
        elif isinstance(block, dict):
            kind = block.get("type")
            if kind == "text" and block.get("text"):
                yield TextDelta(str(block["text"]))
            elif kind in _REASONING and (thought := block.get(_REASONING[kind])):
                yield ReasoningDelta(str(thought))
