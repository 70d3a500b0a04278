"""Tools for a model that was not trained to use them, in the form of JSON that it is held to.

So small a model cannot tell whether it needs a tool, and goes on calling when it has a result: offered tools,
it is made to call one for each question, and then answers with what that has brought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import orjson

from providers.base import JsonSchema, ModelRequest, ToolSpec
from providers.http.request import parsed_object
from providers.http.tool_calls import new_call_id
from state.models import Message, ToolCall

_LONGEST_TEXT, _MOST_ITEMS = 100, 8
"""Of an argument: without an end in sight the model goes on until its tokens are used up."""

_KEPT = ("type", "enum", "const", "minimum", "maximum")
"""What is taken over of an argument's schema; the rest is checked before the tool is called, as always."""

_CALL = 'Use one of these tools. Answer with {{"tool": "<its name>", "arguments": {{...}}}}.\n{tools}'
_BROUGHT = "{question}\n\nThe tool {name} has brought:\n{result}"
_ANSWER = "\n\nAnswer with that."


def calls(request: ModelRequest) -> bool:
    """Whether the model is to call a tool now, and not to answer."""
    if not request.tools or request.tool_choice == "none":
        return False
    return request.tool_choice == "required" or not _results(request.messages)


def calling(request: ModelRequest) -> ModelRequest:
    """The request for a call, as one for JSON: the likeliest, where the caller has named no temperature."""
    listed = "\n".join(_described(tool) for tool in request.tools)
    first, *others = _in_words(request.messages)
    rules = _CALL.format(tools=listed)
    if first.role == "system":
        messages = (replace(first, content=f"{first.content}\n\n{rules}"), *others)
    else:
        messages = (Message("system", rules), first, *others)
    schema = {"anyOf": [_object({"tool": {"enum": [t.name]}, "arguments": _of(t)}) for t in request.tools]}
    form = JsonSchema("call_of_a_tool", schema)
    temperature = 0.0 if request.temperature is None else request.temperature
    plain = replace(request, messages=messages, tools=(), tool_choice="auto")
    return replace(plain, json_schema=form, temperature=temperature)


def answering(request: ModelRequest) -> ModelRequest:
    """The request for an answer, with what tools have brought since the question as part of it."""
    messages = _in_words(request.messages)
    if _results(request.messages):
        *others, last = messages
        messages = (*others, replace(last, content=last.content + _ANSWER))
    return replace(request, messages=messages, tools=(), tool_choice="auto")


def call_of(text: str) -> ToolCall | None:
    """The call that an answer is; None where it was cut."""
    value = parsed_object(text)
    if value is None or not isinstance(name := value.get("tool"), str):
        return None
    return ToolCall(new_call_id(), name, orjson.dumps(value.get("arguments")).decode())


def _results(messages: Sequence[Message]) -> list[Message]:
    return list(takewhile(lambda m: m.role == "tool", reversed(messages)))


def _in_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages as ones without tools: a result becomes part of the question before it."""
    names = {call.call_id: call.name for message in messages for call in message.tool_calls}
    told: list[Message] = []
    for message in messages:
        if message.role == "tool" and told:
            name, asked = names.get(message.tool_call_id, ""), told[-1]
            text = _BROUGHT.format(question=asked.content, name=name, result=message.content)
            told[-1] = replace(asked, content=text)
        elif not message.tool_calls:
            told.append(message)
    return tuple(told)


def _described(tool: ToolSpec) -> str:
    wanted = ", ".join(f"{name} ({_about(schema)})" for name, schema in _required(tool).items())
    return f"- {tool.name}: {tool.description} Arguments: {wanted or 'none'}"


def _about(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or schema.get("type", "any"))


def _required(tool: ToolSpec) -> dict[str, Mapping[str, Any]]:
    """The arguments that it must have. It fills all that it may, with noise where nothing was said."""
    parameters: Mapping[str, Any] = tool.parameters
    known = parameters.get("properties", {})
    return {name: known.get(name, {}) for name in parameters.get("required", ())}


def _of(tool: ToolSpec) -> dict[str, Any]:
    return _object({name: _bounded(schema) for name, schema in _required(tool).items()})


def _bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: schema[key] for key in _KEPT if key in schema}
    match schema.get("type"):
        case "string" if "enum" not in schema and "const" not in schema:
            longest = min(schema.get("maxLength", _LONGEST_TEXT), _LONGEST_TEXT)
            return {**kept, "minLength": min(schema.get("minLength", 0), longest), "maxLength": longest}
        case "array":
            return {**kept, "items": _bounded(schema.get("items", {})), "maxItems": _MOST_ITEMS}
        case "object":
            known = schema.get("properties", {})
            return _object({name: _bounded(known.get(name, {})) for name in schema.get("required", ())})
    return kept


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
