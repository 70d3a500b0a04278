"""A request in OpenAI's JSON."""

from base64 import b64encode

from providers.base import ModelRequest, ToolSpec
from providers.http.request import Json
from providers.http.tool_calls import portable_id
from providers.openai_compatible.strict import fits_strict
from state.models import Image, Message, ToolCall


def request_body(model: str, request: ModelRequest, *, limit_field: str) -> Json:
    """The body of a streaming call; `limit_field` is the vendor's name for the most tokens to write."""
    body: Json = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    optional = {
        limit_field: request.max_output_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    body.update((name, value) for name, value in optional.items() if value is not None)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice != "auto":
            body["tool_choice"] = request.tool_choice
    if (form := request.json_schema) is not None:
        described = {"name": form.name, "schema": form.schema, "strict": fits_strict(form.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    return body


def _message(message: Message) -> Json:
    written: Json = {"role": message.role, "content": message.content}
    if message.images:
        text = [{"type": "text", "text": message.content}] if message.content else []
        written["content"] = [*text, *(_image(image) for image in message.images)]
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.role == "tool":
        written["tool_call_id"] = portable_id(message.tool_call_id)
    return written


def _image(image: Image) -> Json:
    url = f"data:{image.mime_type};base64,{b64encode(image.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: ToolSpec) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _tool_call(call: ToolCall) -> Json:
    return {
        "id": portable_id(call.call_id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
