"""The checks OpenAI makes on a request before it answers, so that a wrong adapter is noticed."""

import re
from typing import Any

from tests.fakes.scripted_provider.vendors.base import RefusedRequestError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))
_PARAMETERS = frozenset(
    (
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature",
        "top_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
        "top_logprobs", "user", "tools", "tool_choice", "parallel_tool_calls", "response_format", "metadata",
        "reasoning_effort", "service_tier", "store", "verbosity", "prompt_cache_key", "safety_identifier",
    )
)  # fmt: skip


def check_request(body: Any) -> None:
    """Raises: RefusedRequestError: The real API would answer 400."""
    if not isinstance(body, dict):
        raise RefusedRequestError("We could not parse the JSON body of your request.")
    for name in body:
        if name not in _PARAMETERS:
            raise RefusedRequestError(f"Unrecognized request argument supplied: {name}", name)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RefusedRequestError("you must provide a model parameter", "model")
    _check_messages(body.get("messages"))
    _check_options(body)
    _check_tools(body)


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise RefusedRequestError("Missing required parameter: 'messages'.", "messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedRequestError("Invalid 'messages': expected a non-empty array.", "messages")
    calls: set[str] = set()
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
        if message["role"] == "tool" and message.get("tool_call_id") not in calls:
            raise RefusedRequestError("'tool' must answer a preceding 'tool_calls'.", f"messages[{index}]")
        for call in message.get("tool_calls", ()):
            if not _NAME.fullmatch(call["function"]["name"]):
                raise RefusedRequestError("string does not match pattern", f"messages[{index}].tool_calls")
        calls.update(call["id"] for call in message.get("tool_calls", ()))


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise RefusedRequestError(f"Invalid type for '{where}': expected an object.", where)
    if message.get("role") not in _ROLES:
        raise RefusedRequestError(f"Invalid value for '{where}.role'.", f"{where}.role")
    content = message.get("content")
    if content is None and message["role"] == "assistant" and message.get("tool_calls"):
        return
    if isinstance(content, list):
        for part in content:
            if part.get("type") not in ("text", "image_url") or part["type"] not in part:
                raise RefusedRequestError(f"Invalid value for '{where}.content'.", f"{where}.content")
    if not isinstance(content, str | list):
        raise RefusedRequestError(f"Invalid type for '{where}.content'.", f"{where}.content")


def _check_options(body: dict[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise RefusedRequestError(f"Invalid value for '{name}': expected an integer >= 1.", name)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise RefusedRequestError("Setting both 'max_tokens' and 'max_completion_tokens' is not supported.")
    temperature = body.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 2):
        raise RefusedRequestError("Invalid 'temperature': expected a number from 0 to 2.", "temperature")
    if not isinstance(body.get("seed"), int | None):
        raise RefusedRequestError("Invalid type for 'seed': expected an integer.", "seed")
    if not isinstance(body.get("stream"), bool | None):
        raise RefusedRequestError("Invalid type for 'stream': expected a boolean.", "stream")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise RefusedRequestError(
            "'stream_options' is only allowed when 'stream' is enabled.", "stream_options"
        )


def _check_tools(body: dict[str, Any]) -> None:
    if body.get("tool_choice") is not None and not body.get("tools"):
        raise RefusedRequestError("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    for tool in body.get("tools") or ():
        if tool.get("type") != "function" or not tool["function"].get("name"):
            raise RefusedRequestError("Invalid value for 'tools'.", "tools")
