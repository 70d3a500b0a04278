"""OpenAI's chat completions."""

import time
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
from tests.fakes.scripted_provider.vendors.base import Asked, Event
from tests.fakes.scripted_provider.vendors.openai_checks import check_request

_DONE = Event(b"[DONE]")
_ERROR_TYPES = {429: "requests", 529: "overloaded_error"}


class OpenAI:
    """The vendor whose terms the scripts use."""

    path = "/v1/chat/completions"
    unknown_path = "/v1/{path:.*}"

    def key(self, headers: Mapping[str, str]) -> str | None:
        kind, _, key = headers.get("Authorization", "").partition(" ")
        return key if kind == "Bearer" else None

    def check(self, asked: Asked) -> None:
        check_request(asked.body)

    def streams(self, asked: Asked) -> bool:
        return bool(asked.body.get("stream"))

    def answer(self, script: Script, asked: Asked, generation_id: str) -> "Completion":
        return Completion(script, asked.body, generation_id)

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        code = "invalid_api_key" if status == 401 else None
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return _error(message, _ERROR_TYPES.get(status, kind), param=param, code=code)


class Completion:
    """The chunks of one answer, or the whole of it."""

    def __init__(self, script: Script, body: dict[str, Any], generation_id: str) -> None:
        prompts = [Prompt(message["role"], _text(message.get("content"))) for message in body["messages"]]
        self.tokens = tokens_of(script, prompts)
        self.pieces = pieces_of(script, self.tokens, whole_calls=False)
        self._script = script
        self._generation_id = generation_id
        self._asks_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._usage = _usage(usage_of(script, prompts, len(self.tokens)))
        self._head = {
            "id": generation_id,
            "created": int(time.time()),
            "model": script.model or body["model"],
            "system_fingerprint": "fp_scripted",
        }

    def opening(self) -> Iterable[Event]:
        return (self._chunk({"role": "assistant", "content": ""}),)

    def events_of(self, piece: Piece) -> Iterable[Event]:
        match piece.kind:
            case PieceKind.TEXT:
                return (self._chunk({"content": piece.text}),)
            case PieceKind.REASONING:
                return (self._chunk({self._script.reasoning_field: piece.text}),)
            case PieceKind.CALL:
                return (self._chunk({"tool_calls": [{"index": piece.call, **self._call(piece.call, "")}]}),)
            case PieceKind.ARGUMENTS:
                fragment = {"index": piece.call, "function": {"arguments": piece.text}}
                return (self._chunk({"tool_calls": [fragment]}),)

    def ending(self, *, done: bool) -> Iterable[Event]:
        yield self._chunk({}, finish_of(self._script))
        if self._asks_usage and self._usage is not None:
            head = {**self._head, "object": "chat.completion.chunk"}
            yield Event(orjson.dumps({**head, "choices": [], "usage": self._usage}))
        if done:
            yield _DONE

    def failure(self, *, overloaded: bool) -> Iterable[Event]:
        code = "rate_limit_exceeded" if overloaded else None
        return (Event(_error("The server had an error.", "server_error", code=code)), _DONE)

    def whole(self) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.tokens)}
        if self._script.reasoning:
            message[self._script.reasoning_field] = "".join(self._script.reasoning)
        if calls := self._script.tool_calls:
            message["tool_calls"] = [self._call(number, call.arguments) for number, call in enumerate(calls)]
        choice = {"index": 0, "message": message, "finish_reason": finish_of(self._script)}
        answer = {**self._head, "object": "chat.completion", "choices": [choice]}
        return orjson.dumps(answer if self._usage is None else {**answer, "usage": self._usage})

    def _call(self, number: int, arguments: str) -> dict[str, Any]:
        function = {"name": self._script.tool_calls[number].name, "arguments": arguments}
        call_id = call_id_of(self._script, number, self._generation_id)
        return {"id": call_id, "type": "function", "function": function}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        if self._asks_usage:
            chunk["usage"] = None
        return Event(orjson.dumps(chunk))


def _error(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _usage(usage: ScriptedUsage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
