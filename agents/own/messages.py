"""LangChain's messages and tools as a request of ours."""

from collections.abc import Sequence
from typing import Any

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from agents.calls import speakable, speakable_arguments
from agents.images import StoredMessage, shown
from providers.base import ToolChoice, ToolSpec
from state.models import Message, ToolCall


class UnusableMessageError(ValueError):
    """A model cannot be shown this."""


def split(messages: Sequence[BaseMessage]) -> tuple[str, list[Message], list[Message]]:
    """What the system messages say together, what was before the newest question, and all from there on."""
    system = "\n\n".join(_text(m) for m in messages if isinstance(m, SystemMessage))
    said = [m for m in messages if not isinstance(m, SystemMessage)]
    asked = max((n for n, m in enumerate(said) if isinstance(m, HumanMessage)), default=0)
    plain = [_message(m) for m in said]
    return system, plain[:asked], plain[asked:]


def offer(tools: Sequence[Any], choice: object) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """What a model is offered, from tools in any of LangChain's forms, and whether it has to use one.

    Raises:
        ValueError: A tool is chosen that is not among them.
    """
    functions = [convert_to_openai_tool(tool)["function"] for tool in tools]
    specs = [ToolSpec(f["name"], f.get("description", ""), f.get("parameters", _NOTHING)) for f in functions]
    if choice in (None, "auto", False):
        return tuple(specs), "auto"
    if choice == "none":
        return tuple(specs), "none"
    if choice in ("any", "required", True):
        return tuple(specs), "required"
    name = choice["function"]["name"] if isinstance(choice, dict) else choice
    chosen = tuple(spec for spec in specs if spec.name == name)
    if not chosen:
        raise ValueError("a tool is chosen that is not offered")
    return chosen, "required"


_NOTHING: dict[str, object] = {"type": "object", "properties": {}}


def _message(message: BaseMessage) -> Message:
    match message:
        case HumanMessage():
            return Message("user", _text(message))
        case AIMessage():
            return Message("assistant", _text(message), tool_calls=tuple(map(_call, message.tool_calls)))
        case ToolMessage():
            # As in our own agents: between marks, for it is data.
            stored = StoredMessage(role="tool", content=_text(message), tool_call_id=message.tool_call_id)
            return shown(stored, {}, seen=False)
        case _:
            raise UnusableMessageError("a model is shown a message of no kind that it knows")


def _call(call: Any) -> ToolCall:  # noqa: ANN401 - LangChain's TypedDict
    arguments = speakable_arguments(orjson.dumps(call["args"]).decode())
    return ToolCall(call["id"] or "", speakable(call["name"]), arguments)


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        if not isinstance(block, str) and block.get("type") not in ("text", "tool_use", "tool_call"):
            raise UnusableMessageError("a message holds more than text")
    return str(message.text)
