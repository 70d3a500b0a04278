"""OpenAI's JSON for one scripted answer."""

import time
from typing import Any

import orjson

from tests.fakes.scripted_provider.script import Script, ScriptedUsage

_ECHO_TAIL = tuple(f" {number}" for number in range(1, 25))


class Completion:
    """The chunks of one answer, or the whole of it."""

    def __init__(self, script: Script, body: dict[str, Any], generation_id: str) -> None:
        self.tokens = _echo(body) if script.tokens is None else script.tokens
        self.pieces: list[tuple[str, str]] = [(script.reasoning_field, token) for token in script.reasoning]
        self.pieces += [("content", token) for token in self.tokens]
        self._script = script
        self._asks_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self._usage = _usage(script, body, len(self.tokens))
        self._head = {
            "id": generation_id,
            "created": int(time.time()),
            "model": script.model or body["model"],
            "system_fingerprint": "fp_scripted",
        }

    def first_chunk(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def piece_chunk(self, field: str, token: str) -> bytes:
        return self._chunk({field: token})

    def finish_chunk(self) -> bytes:
        return self._chunk({}, self._script.finish_reason)

    def usage_chunk(self) -> bytes | None:
        if not self._asks_usage or self._usage is None:
            return None
        head = {**self._head, "object": "chat.completion.chunk"}
        return orjson.dumps({**head, "choices": [], "usage": self._usage})

    def whole(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self.tokens)}
        if self._script.reasoning:
            message[self._script.reasoning_field] = "".join(self._script.reasoning)
        choice = {"index": 0, "message": message, "finish_reason": self._script.finish_reason}
        answer = {**self._head, "object": "chat.completion", "choices": [choice]}
        return orjson.dumps(answer if self._usage is None else {**answer, "usage": self._usage})

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        if self._asks_usage:
            chunk["usage"] = None
        return orjson.dumps(chunk)


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """OpenAI's error object."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _echo(body: dict[str, Any]) -> tuple[str, ...]:
    asked = [message["content"] for message in body["messages"] if message["role"] == "user"]
    words = str(asked[-1]).split() if asked else []
    return ("Echo", ":", *(f" {word}" for word in words), *_ECHO_TAIL)


def _usage(script: Script, body: dict[str, Any], written: int) -> dict[str, Any] | None:
    usage = script.usage
    if usage is None:
        return None
    if usage == "counted":
        read = sum(len(str(message["content"]).split()) for message in body["messages"])
        reasoned = len(script.reasoning)
        usage = ScriptedUsage(read, written + reasoned, reasoning_tokens=reasoned)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
