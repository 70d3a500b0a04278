"""The checks Google makes on a request before it answers, so that a wrong adapter is noticed."""

from typing import Any

from tests.fakes.scripted_provider.vendors.base import Asked, RefusedRequestError

_PARAMETERS = frozenset(
    (
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
    )
)
_GENERATION = frozenset(
    (
        "maxOutputTokens",
        "temperature",
        "seed",
        "topP",
        "topK",
        "stopSequences",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "thinkingConfig",
    )
)
_MODES = ("AUTO", "ANY", "NONE")


def check_request(asked: Asked) -> None:
    """Raises: RefusedRequestError: The real API would answer 400."""
    body = asked.body
    if asked.query.get("alt") != "sse":
        raise RefusedRequestError("without alt=sse the answer is an array, which is not scripted")
    if not isinstance(body, dict):
        raise RefusedRequestError("Invalid JSON payload received.")
    _check_names(body, _PARAMETERS)
    _check_names(body.get("generationConfig", {}), _GENERATION)
    if not body.get("contents"):
        raise RefusedRequestError("* GenerateContentRequest.contents: contents is not specified")
    calls = 0
    for content in body["contents"]:
        calls = _check_content(content, calls)
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode", "AUTO")
    if mode not in _MODES:
        raise RefusedRequestError("Invalid value at 'tool_config.function_calling_config.mode'")


def _check_names(values: dict[str, Any], known: frozenset[str]) -> None:
    for name in values:
        if name not in known:
            raise RefusedRequestError(f'Unknown name "{name}": Cannot find field.')


def _check_content(content: Any, open_calls: int) -> int:
    """How many tool calls the next content has to answer."""
    if content.get("role") not in ("user", "model"):
        raise RefusedRequestError("Please use a valid role: user, model.")
    parts = content.get("parts")
    if not parts:
        raise RefusedRequestError(
            "* GenerateContentRequest.contents.parts: contents.parts must not be empty."
        )
    if sum("functionResponse" in part for part in parts) != open_calls:
        raise RefusedRequestError(
            "the number of function response parts is not that of the function call parts of the call turn"
        )
    calls = [part for part in parts if "functionCall" in part]
    if calls and "thoughtSignature" not in calls[0]:
        raise RefusedRequestError("Function call is missing a thought_signature in functionCall parts.")
    return len(calls)
