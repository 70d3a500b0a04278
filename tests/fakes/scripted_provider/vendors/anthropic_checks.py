"""The checks Anthropic makes on a request before it answers, so that a wrong adapter is noticed."""

from typing import Any

from tests.fakes.scripted_provider.vendors.base import Asked, RefusedRequestError

_PARAMETERS = frozenset(
    (
        "model", "max_tokens", "messages", "stream", "system", "temperature", "tools", "tool_choice", "top_k",
        "top_p", "stop_sequences", "metadata", "thinking", "service_tier",
    )
)  # fmt: skip


def check_request(asked: Asked) -> None:
    """Raises: RefusedRequestError: The real API would answer 400."""
    body = asked.body
    if "anthropic-version" not in asked.headers:
        raise RefusedRequestError("anthropic-version: header is required")
    if not isinstance(body, dict):
        raise RefusedRequestError("The request body is not valid JSON")
    _check_parameters(body)
    open_calls: set[str] = set()
    for message in body["messages"]:
        open_calls = _check_message(message, open_calls)
    _check_tools(body, has_calls="tool_use" in str(body["messages"]))


def _check_parameters(body: dict[str, Any]) -> None:
    for name in body:
        if name not in _PARAMETERS:
            raise RefusedRequestError(f"{name}: Extra inputs are not permitted")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RefusedRequestError("model: Field required")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise RefusedRequestError("max_tokens: Field required")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise RefusedRequestError("messages: at least one message is required")


def _check_message(message: Any, open_calls: set[str]) -> set[str]:
    """The tool calls that the next message has to answer."""
    if message.get("role") not in ("user", "assistant"):
        raise RefusedRequestError('messages: Unexpected role. Use the top-level "system" parameter')
    blocks = message.get("content")
    if isinstance(blocks, str):
        blocks = [{"type": "text", "text": blocks}]
    if any(block["type"] == "text" and not block["text"] for block in blocks):
        raise RefusedRequestError("messages: text content blocks must be non-empty")
    answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
    if answered != open_calls:
        raise RefusedRequestError("messages: `tool_use` ids without `tool_result` blocks immediately after")
    calls = [block for block in blocks if block["type"] == "tool_use"]
    if any(not isinstance(block["input"], dict) for block in calls):
        raise RefusedRequestError("messages: tool_use.input: Input should be a valid dictionary")
    return {block["id"] for block in calls}


def _check_tools(body: dict[str, Any], *, has_calls: bool) -> None:
    tools = body.get("tools", [])
    if has_calls and not tools:
        raise RefusedRequestError("Requests which include `tool_use` blocks must define tools")
    if any(set(tool) != {"name", "description", "input_schema"} for tool in tools):
        raise RefusedRequestError("tools: Field required")
    choice = body.get("tool_choice", {"type": "auto"})
    if choice["type"] not in ("auto", "any", "none", "tool"):
        raise RefusedRequestError("tool_choice: Input tag is unknown")
    if choice["type"] == "tool" and choice["name"] not in {tool["name"] for tool in tools}:
        raise RefusedRequestError("tool_choice: Tool not found in provided tools")
