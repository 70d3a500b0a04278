"""What mutation begins with: one good and one odd example of each form."""

import base64
import json
from collections.abc import Mapping, Sequence

import ormsgpack

from protos import orchestrator_pb2 as pb

_ODD_CUTS = bytes(range(3, 90, 11))


def _stream(*lines: object, end: bytes = b"") -> bytes:
    told = b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
    return told + end + _ODD_CUTS


def _openai() -> list[bytes]:
    call = {"index": 0, "id": "c1", "function": {"name": "search", "arguments": '{"q": '}}
    rest = {"index": 0, "function": {"arguments": '"x"}'}}
    return [
        _stream(
            {"id": "g", "model": "m", "choices": [{"delta": {"content": "Grüße"}}]},
            {"choices": [{"delta": {"tool_calls": [call]}}]},
            {"choices": [{"delta": {"tool_calls": [rest]}, "finish_reason": "tool_calls"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
            end=b"data: [DONE]\n\n",
        ),
        _stream({"error": {"code": 429, "type": "overloaded_error"}}),
        _stream({"choices": [{"delta": {"reasoning": "hm"}, "finish_reason": "stop"}]}),
    ]


def _anthropic() -> list[bytes]:
    def block(**fields: object) -> object:
        return {"type": "content_block_start", "index": 1, "content_block": fields}

    def delta(**fields: object) -> object:
        return {"type": "content_block_delta", "index": 1, "delta": fields}

    usage = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1}
    return [
        _stream(
            {"type": "message_start", "message": {"id": "g", "model": "m", "usage": usage}},
            delta(type="text_delta", text="Grüße"),
            block(type="tool_use", id="t", name="search"),
            delta(type="input_json_delta", partial_json='{"q": 1}'),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
            {"type": "message_stop"},
        ),
        _stream(
            block(type="tool_use", id="t", name="form"), delta(type="input_json_delta", partial_json="{}")
        ),
        _stream({"type": "error", "error": {"type": "overloaded_error"}}),
    ]


def _gemini() -> list[bytes]:
    call = {"functionCall": {"name": "search", "args": {"q": [1, {}]}}, "thoughtSignature": "s"}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}
    deep = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":{"a":'
    return [
        _stream(
            {"responseId": "g", "candidates": [{"content": {"parts": [{"text": "Grüße"}, call]}}]},
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage},
        ),
        _stream({"promptFeedback": {"blockReason": "SAFETY"}}, {"error": {"status": "RESOURCE_EXHAUSTED"}}),
        deep + b"[" * 400 + b"]" * 400 + b"}}}]}}]}\n\n" + _ODD_CUTS,
    ]


def _agents() -> list[bytes]:
    front = "name: chat\naliases: [talk]\ndescription: Talks.\nshape: direct\nrouting:\n  examples: [Hello]\n"
    odd = ["2001-99-99", "!!int x", "!!bool x", "!!timestamp x", "!!binary é", "[" * 400, "1" * 5000, ".inf"]
    return [
        f"---\n{front}---\nBe brief.\n".encode(),
        *(f"---\nname: {value}\n---\nx".encode() for value in odd),
        b"\x01limits: {max_steps: 3}\ntools: [search]\n",
    ]


def _flags() -> list[bytes]:
    flag = {"state": "ENABLED", "variants": {"on": True, "half": 50}, "defaultVariant": "on"}
    rule = {"if": [{"in": ["a", {"var": "targetingKey"}]}, "on", "half"]}
    share = {"fractional": [{"var": "targetingKey"}, ["on", 50], ["half", 50]]}
    return [
        json.dumps({"flags": {"use": flag}}).encode(),
        json.dumps({"flags": {"use": {**flag, "targeting": rule}}}).encode(),
        json.dumps({"flags": {"use": {**flag, "targeting": share, "defaultVariant": "none"}}}).encode(),
        b'{"flags": {"use": {"variants": {"on": true}}}}',
        b'{"flags": ' + b"[" * 20_000,
    ]


def _token(kind: int, text: str) -> bytes:
    return bytes((0, kind)) + base64.urlsafe_b64encode(text.encode())


def _extension(code: int, *call: object) -> bytes:
    return b"\0\0" + ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(call)))


def _requests() -> list[bytes]:
    chat = pb.ChatRequest(user_id="u", query="q", conversation_id="c", agent_type="chat")
    chat.run_options.max_wait.FromSeconds(3)
    listing = pb.ListTasksRequest(user_id="u", page_size=3)
    listing.created_after.seconds = 2**62
    approval = pb.PermissionApproval(user_id="u", permission_id="p", approval_decision="approved")
    approval.edited_arguments["n"] = float("nan")
    kinds = {0: chat, 7: listing, 8: approval}
    return [bytes((kind, 0)) + message.SerializeToString() for kind, message in kinds.items()]


SEEDS: Mapping[str, Sequence[bytes]] = {
    "request_bytes": _requests(),
    "page_tokens": [
        _token(0, '["tasks", "2026-01-02T03:04:05+00:00 00000000000000000000000000000001"]'),
        _token(0, '["tasks", "2026-01-02T03:04:05 00000000000000000000000000000001"]'),
        _token(0, '["tasks", "\\ud800"]'),
        _token(0, "[" * 20_000),
    ],
    "trace_headers": [b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", b"00-" + b"0" * 32 + b"-x"],
    "events": [b"data: a\n\ndata:b\r\ndata\n\n: c\nevent: d\nid\n\n", b"data: " + b"x" * 56 + b"\r\n\nno\n"],
    "openai": _openai(),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "arguments": [b'\0{"url": "https://a.example/", "many": [1, "2", null]}', b'\0{"url": "http://[::1]"}'],
    "sources": [
        b'\0{"results": [{"url": "https://a.example/", "title": "t"}]}',
        b"\0" + b"[" * 1000 + b"]" * 1000,
    ],
    "answers": [
        b'\0{"a": "x", "n": 3}',
        b'\0{"a": "x", "a": 1}',
        b"\0" + b"[" * 3000,
        b'\0{"n": NaN, "a": "\\ud800"}',
    ],
    "checkpoints": [
        _extension(0, "decimal", "Decimal", "x"),
        _extension(1, "re", "compile", ["("]),
        _extension(1, "os", "system", ["true"]),
        _extension(2, "langchain_core.messages.human", "HumanMessage", {"content": "hi"}),
        _extension(4, "uuid", "UUID", "0" * 32),
    ],
    "agent_files": _agents(),
    "flag_files": _flags(),
}
