"""Anthropic's Messages API."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from tests.fakes.scripted_provider.pieces import (
    Piece,
    PieceKind,
    Prompt,
    call_id_of,
    finish_of,
    pieces_of,
    tokens_of,
    usage_of,
)
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.fakes.scripted_provider.vendors.anthropic_checks import check_request
from tests.fakes.scripted_provider.vendors.base import Asked, Event

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_DELTAS = {
    PieceKind.TEXT: ("text_delta", "text"),
    PieceKind.REASONING: ("thinking_delta", "thinking"),
    PieceKind.ARGUMENTS: ("input_json_delta", "partial_json"),
}


class Anthropic:
    """Named events, and content in numbered blocks."""

    path = "/v1/messages"
    unknown_path = ""

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key")

    def check(self, asked: Asked) -> None:
        check_request(asked)

    def streams(self, asked: Asked) -> bool:
        return bool(asked.body.get("stream"))

    def answer(self, script: Script, asked: Asked, generation_id: str) -> "Reply":
        return Reply(script, asked.body, generation_id)

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        return _error(_ERROR_TYPES.get(status, "api_error"), message)


class Reply:
    """The events of one answer."""

    def __init__(self, script: Script, body: dict[str, Any], generation_id: str) -> None:
        prompts = [Prompt("system", str(body.get("system", "")))]
        prompts += [Prompt(message["role"], _text(message["content"])) for message in body["messages"]]
        tokens = tokens_of(script, prompts)
        self.pieces = pieces_of(script, tokens, whole_calls=False)
        self._script = script
        self._model = script.model or body["model"]
        self._generation_id = generation_id
        self._usage = usage_of(script, prompts, len(tokens))
        self._block = -1
        self._open: tuple[object, int] | None = None

    def opening(self) -> Iterable[Event]:
        message: dict[str, Any] = {
            "id": self._generation_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        if self._usage is not None:
            message["usage"] = {**_read(self._usage), "output_tokens": 1}
        yield _event("message_start", {"message": message})
        yield _event("ping", {})

    def events_of(self, piece: Piece) -> Iterable[Event]:
        yield from self._turn_to(piece)
        if piece.kind is not PieceKind.CALL:
            kind, field = _DELTAS[piece.kind]
            yield self._delta({"type": kind, field: piece.text})

    def ending(self, *, done: bool) -> Iterable[Event]:
        yield from self._close()
        reason = finish_of(self._script)
        delta = {"stop_reason": _STOP_REASONS.get(reason, reason), "stop_sequence": None}
        counts = {} if self._usage is None else {"usage": {"output_tokens": self._usage.completion_tokens}}
        yield _event("message_delta", {"delta": delta, **counts})
        if done:
            yield _event("message_stop", {})

    def failure(self, *, overloaded: bool) -> Iterable[Event]:
        body = _error("overloaded_error" if overloaded else "api_error", "The server had an error.")
        return (Event(body, b"error"),)

    def whole(self) -> bytes:
        raise NotImplementedError("only streams are scripted")

    def _turn_to(self, piece: Piece) -> Iterable[Event]:
        """Begin another block where `piece` is of another kind than what came before."""
        kind = PieceKind.CALL if piece.kind is PieceKind.ARGUMENTS else piece.kind
        if self._open == (kind, piece.call):
            return
        yield from self._close()
        self._open = (kind, piece.call)
        self._block += 1
        match kind:
            case PieceKind.CALL:
                call_id = call_id_of(self._script, piece.call, self._generation_id)
                block = {"type": "tool_use", "id": call_id, "name": self._script.tool_calls[piece.call].name}
                yield self._start({**block, "input": {}})
                yield self._delta({"type": "input_json_delta", "partial_json": ""})
            case PieceKind.REASONING:
                yield self._start({"type": "thinking", "thinking": "", "signature": ""})
            case _:
                yield self._start({"type": "text", "text": ""})

    def _close(self) -> Iterable[Event]:
        if self._open is None:
            return
        if self._open[0] is PieceKind.REASONING:
            yield self._delta({"type": "signature_delta", "signature": "c2lnbmVk"})
        yield _event("content_block_stop", {"index": self._block})
        self._open = None

    def _start(self, block: dict[str, Any]) -> Event:
        return _event("content_block_start", {"index": self._block, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> Event:
        return _event("content_block_delta", {"index": self._block, "delta": delta})


def _event(kind: str, fields: dict[str, Any]) -> Event:
    return Event(orjson.dumps({"type": kind, **fields}), kind.encode())


def _error(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(block.get("text", "")) for block in content)
    return str(content)


def _read(usage: ScriptedUsage) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
    }
