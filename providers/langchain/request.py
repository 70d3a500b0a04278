"""A request in LangChain's messages."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, assert_never

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call

from providers.base import ModelRequest
from providers.http.request import call_input
from providers.http.tool_calls import portable_id
from state.models import Message

Tool = dict[str, Any]


def messages_of(messages: Iterable[Message]) -> list[BaseMessage]:
    """The conversation."""
    return [_message(message) for message in messages]


def offer_of(request: ModelRequest) -> tuple[list[Tool], str | None]:
    """The tools to bind, and which of them must be used, if any must.

    A schema is a tool that has to be used: the one way that all integrations have in common, and it streams.
    """
    tools = [_tool(tool.name, tool.description, tool.parameters) for tool in request.tools]
    if request.tool_choice == "none":
        tools = []
    if (form := request.json_schema) is not None:
        schema_tool = _tool(form.name, "Gives the answer.", form.schema)
        return [*tools, schema_tool], "any" if tools else form.name
    return tools, "any" if request.tool_choice == "required" else None


def _tool(name: str, description: str, parameters: object) -> Tool:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _message(message: Message) -> BaseMessage:
    match message.role:
        case "system":
            return SystemMessage(message.content)
        case "user":
            return HumanMessage(_content(message))
        case "assistant":
            calls = [
                tool_call(name=call.name, args=call_input(call.arguments), id=portable_id(call.call_id))
                for call in message.tool_calls
            ]
            return AIMessage(message.content, tool_calls=calls)
        case "tool":
            return ToolMessage(message.content, tool_call_id=portable_id(message.tool_call_id))
        case _:
            assert_never(message.role)


def _content(message: Message) -> str | list[str | dict[Any, Any]]:
    if not message.images:
        return message.content
    text: list[str | dict[Any, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    for image in message.images:
        url = f"data:{image.mime_type};base64,{b64encode(image.data).decode()}"
        text.append({"type": "image_url", "image_url": {"url": url}})
    return text
