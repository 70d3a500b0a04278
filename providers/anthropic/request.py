"""A request in Anthropic's JSON."""

from base64 import b64encode
from collections.abc import Iterable, Sequence

from providers.base import JsonSchema, ModelRequest, ToolSpec
from providers.http.request import Json, call_input
from providers.http.tool_calls import portable_id
from state.models import Message

_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def request_body(model: str, request: ModelRequest, *, max_tokens: int) -> Json:
    """The body of a streaming call."""
    body: Json = {
        "model": model,
        "max_tokens": max_tokens,
        "messages": _messages(request.messages),
        "stream": True,
    }
    if system := "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content):
        body["system"] = system
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return body | _tools(request)


def _tools(request: ModelRequest) -> Json:
    tools, choice = [_tool(tool) for tool in request.tools], _TOOL_CHOICES[request.tool_choice]
    if (form := request.json_schema) is not None:
        # The answer is what the model hands to a tool that it has to use, unless it uses another one first.
        forced: Json = {"type": "any"} if tools and choice != "none" else {"type": "tool", "name": form.name}
        return {"tools": [*tools, _schema_tool(form)], "tool_choice": forced}
    if tools:
        return {"tools": tools, "tool_choice": {"type": choice}}
    # A conversation with tool calls is refused when no tool is declared.
    if past := sorted({call.name for message in request.messages for call in message.tool_calls}):
        declared = [_tool(ToolSpec(name, "", {"type": "object"})) for name in past]
        return {"tools": declared, "tool_choice": {"type": "none"}}
    return {}


def _tool(tool: ToolSpec) -> Json:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}


def _schema_tool(form: JsonSchema) -> Json:
    return {"name": form.name, "description": "Gives the answer.", "input_schema": form.schema}


def _messages(messages: Iterable[Message]) -> Sequence[Json]:
    """Turns of user and assistant: the answers to all calls of one turn have to stand in one message."""
    turns: list[tuple[str, list[Json]]] = []
    for message in messages:
        if message.role == "system" or not (blocks := _blocks(message)):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return [{"role": role, "content": blocks} for role, blocks in turns]


def _blocks(message: Message) -> list[Json]:
    if message.role == "tool":
        call_id = portable_id(message.tool_call_id)
        return [{"type": "tool_result", "tool_use_id": call_id, "content": message.content}]
    blocks: list[Json] = []
    for image in message.images:
        data = b64encode(image.data).decode()
        source = {"type": "base64", "media_type": image.mime_type, "data": data}
        blocks.append({"type": "image", "source": source})
    # A block of empty text is refused.
    if message.content:
        blocks.append({"type": "text", "text": message.content})
    for call in message.tool_calls:
        use = {"type": "tool_use", "id": portable_id(call.call_id), "name": call.name}
        blocks.append({**use, "input": call_input(call.arguments)})
    return blocks
