"""A request in Gemini's JSON."""

from base64 import b64encode
from collections.abc import Mapping, Sequence

from providers.base import ModelRequest, ToolSpec
from providers.gemini.calls import NO_SIGNATURE, origin_of
from providers.http.request import Json, call_input
from state.models import Message

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def request_body(model: str, request: ModelRequest) -> Json:
    """The body of a streaming call."""
    body: Json = {"contents": _contents(model, request.messages)}
    if system := "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content):
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
        body["toolConfig"] = {"functionCallingConfig": {"mode": _MODES[request.tool_choice]}}
    if generation := _generation(request):
        body["generationConfig"] = generation
    return body


def _generation(request: ModelRequest) -> Json:
    optional = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    generation: Json = {name: value for name, value in optional.items() if value is not None}
    if request.json_schema is not None:
        # Not `responseSchema`: that refuses what is no part of OpenAPI's dialect, as additionalProperties.
        generation["responseMimeType"] = "application/json"
        generation["responseJsonSchema"] = request.json_schema.schema
    return generation


def _declaration(tool: ToolSpec) -> Json:
    return {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    }


def _contents(model: str, messages: Sequence[Message]) -> list[Json]:
    """The conversation; the answers to all calls of one turn have to stand in one content."""
    names = {call.call_id: call.name for message in messages for call in message.tool_calls}
    contents: list[Json] = []
    answers: list[Json] = []
    for message in messages:
        if message.role == "tool":
            if not answers:
                contents.append({"role": "user", "parts": answers})
            answers.append(_call_answer(model, message, names))
        elif message.role != "system" and (parts := _parts(model, message)):
            answers = []
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    return contents


def _parts(model: str, message: Message) -> list[Json]:
    parts: list[Json] = [{"text": message.content}] if message.content else []
    for image in message.images:
        data = b64encode(image.data).decode()
        parts.append({"inlineData": {"mimeType": image.mime_type, "data": data}})
    for position, call in enumerate(message.tool_calls):
        origin = origin_of(call.call_id, model)
        named: Json = {"id": origin.vendor_id} if origin.vendor_id else {}
        part: Json = {"functionCall": {**named, "name": call.name, "args": call_input(call.arguments)}}
        # Of calls made in parallel only the first is signed.
        if signature := origin.signature or (NO_SIGNATURE if position == 0 else ""):
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _call_answer(model: str, message: Message, names: Mapping[str, str]) -> Json:
    origin = origin_of(message.tool_call_id, model)
    named: Json = {"id": origin.vendor_id} if origin.vendor_id else {}
    name = names.get(message.tool_call_id, "unknown")
    return {"functionResponse": {**named, "name": name, "response": {"output": message.content}}}
