"""Google's Gemini API."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from tests.fakes.scripted_provider.pieces import (
    Piece,
    PieceKind,
    Prompt,
    finish_of,
    pieces_of,
    tokens_of,
    usage_of,
)
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.fakes.scripted_provider.vendors.base import Asked, Event
from tests.fakes.scripted_provider.vendors.gemini_checks import check_request

SIGNATURE = "c2lnbmVk"
_FINISH_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "tool_calls": "STOP",
}
_ERROR_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class Gemini:
    """Chunks without a mark of the end; tool calls come whole."""

    path = "/v1beta/models/{model}:streamGenerateContent"
    unknown_path = "/v1beta/{path:.*}"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def check(self, asked: Asked) -> None:
        check_request(asked)

    def streams(self, asked: Asked) -> bool:
        return True

    def answer(self, script: Script, asked: Asked, generation_id: str) -> "Generation":
        return Generation(script, asked, generation_id)

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        return _error(status, message)


class Generation:
    """The chunks of one answer."""

    def __init__(self, script: Script, asked: Asked, generation_id: str) -> None:
        system = asked.body.get("systemInstruction", {"parts": []})
        prompts = [Prompt("system", _text(system["parts"]))]
        prompts += [Prompt(content["role"], _text(content["parts"])) for content in asked.body["contents"]]
        tokens = tokens_of(script, prompts)
        self.pieces = pieces_of(script, tokens, whole_calls=True)
        self._script = script
        usage = usage_of(script, prompts, len(tokens))
        self._tail: dict[str, Any] = {} if usage is None else {"usageMetadata": _counts(usage)}
        self._tail |= {"modelVersion": script.model or asked.path_model, "responseId": generation_id}

    def opening(self) -> Iterable[Event]:
        return ()

    def events_of(self, piece: Piece) -> Iterable[Event]:
        match piece.kind:
            case PieceKind.REASONING:
                part: dict[str, Any] = {"text": piece.text, "thought": True}
            case PieceKind.CALL:
                call = self._script.tool_calls[piece.call]
                try:
                    arguments = orjson.loads(call.arguments or "{}")
                except orjson.JSONDecodeError:
                    # The real API gives up here.
                    return (self._chunk([], "MALFORMED_FUNCTION_CALL"),)
                named = {} if call.call_id is None else {"id": call.call_id}
                part = {"functionCall": {**named, "name": call.name, "args": arguments}}
                if piece.call == 0:
                    part["thoughtSignature"] = SIGNATURE
            case _:
                part = {"text": piece.text}
        return (self._chunk([part]),)

    def ending(self, *, done: bool) -> Iterable[Event]:
        reason = finish_of(self._script)
        return (self._chunk([{"text": ""}], _FINISH_REASONS.get(reason, reason)),)

    def failure(self, *, overloaded: bool) -> Iterable[Event]:
        return (Event(_error(429 if overloaded else 500, "The server had an error.")),)

    def whole(self) -> bytes:
        raise NotImplementedError("only streams are scripted")

    def _chunk(self, parts: list[dict[str, Any]], finish_reason: str | None = None) -> Event:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish_reason is not None:
            candidate["finishReason"] = finish_reason
        return Event(orjson.dumps({"candidates": [candidate], **self._tail}))


def _error(status: int, message: str) -> bytes:
    name = _ERROR_NAMES.get(status, "INTERNAL")
    return orjson.dumps({"error": {"code": status, "message": message, "status": name}})


def _text(parts: list[dict[str, Any]]) -> str:
    return " ".join(str(part.get("text", "")) for part in parts)


def _counts(usage: ScriptedUsage) -> dict[str, int]:
    written = usage.completion_tokens - usage.reasoning_tokens
    counts = {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": written,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
    }
    # What is nothing is left out, as everywhere in Google's JSON.
    counts = {name: count for name, count in counts.items() if count or name == "promptTokenCount"}
    return {**counts, "totalTokenCount": usage.prompt_tokens + usage.completion_tokens}
