"""Tools that the backend describes itself: rooms and messages, and report templates."""

from dataclasses import asdict
from typing import Any

from backend.store.rooms import CallReusedError, Message, Room, RoomStore
from backend.store.templates import TemplateStore
from backend.store.text import bounded
from backend.tools.enhance import rfc3339
from llm_orchestrator_client.tool_service import (
    Call,
    DescribedTools,
    Hints,
    InvalidArgumentError,
    NotFoundError,
    Output,
)

_MOST_ROOMS = 100
_MESSAGES, _MOST_MESSAGES = 20, 100
_MOST_TEMPLATES = 100
_LONGEST_MESSAGE = 10_000
_READS = Hints(read_only=True, idempotent=True)
_SENDS = Hints(requires_permission=True, operation_type="message_send")
_NO_ROOM = "There is no such room, or the user is no member of it."


def _schema(*required: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_ROOM_ID = {"type": "string", "description": "room_id of get_user_rooms"}
_NEWEST = _schema(
    "room_id",
    room_id=_ROOM_ID,
    limit={"type": "integer", "minimum": 1, "maximum": _MOST_MESSAGES, "description": "messages, else 20"},
    before={"type": "integer", "minimum": 1, "description": "only messages before this message_id"},
)
_MESSAGE = _schema(
    "room_id",
    "text",
    room_id=_ROOM_ID,
    text={"type": "string", "minLength": 1, "maxLength": _LONGEST_MESSAGE, "description": "as it is sent"},
)
_TEMPLATE = _schema("template", template={"type": "string", "description": "its template_id or its name"})


class RoomTools:
    """The user's chat rooms."""

    def __init__(self, store: RoomStore) -> None:
        self._store = store

    def describe(self, tools: DescribedTools) -> None:
        """Add the three tools."""
        about = "Lists the chat rooms the user is a member of, with their members, the last used first."
        tools.tool(about, _schema(), _READS, name="get_user_rooms")(self._rooms)
        about = "The newest messages of a chat room, oldest of them first, with who sent each and when."
        tools.tool(about, _NEWEST, _READS, name="get_room_messages")(self._messages)
        about = "Sends a message to a chat room in the user's name."
        tools.tool(about, _MESSAGE, _SENDS, name="send_room_message")(self._send)

    async def _rooms(self, call: Call, _arguments: dict[str, Any]) -> Output:
        rooms = await self._store.rooms(call.user, _MOST_ROOMS)
        return Output(data={"rooms": [_room(room) for room in rooms]}, untrusted=True)

    async def _messages(self, call: Call, arguments: dict[str, Any]) -> Output:
        limit = bounded(int(arguments.get("limit", 0)), default=_MESSAGES, most=_MOST_MESSAGES)
        before = min(int(arguments.get("before", 0)), 2**62)
        found = await self._store.messages(call.user, arguments["room_id"], before=before, limit=limit)
        if found is None:
            raise NotFoundError(_NO_ROOM)
        return Output(data={"messages": [_message(one) for one in found]}, untrusted=True)

    async def _send(self, call: Call, arguments: dict[str, Any]) -> Output:
        text = arguments["text"].replace("\0", "")
        if not text.strip():
            raise InvalidArgumentError("The message is empty.", field="text")
        try:
            sent = await self._store.send(call.user, arguments["room_id"], text, call.call_id)
        except CallReusedError as error:
            raise InvalidArgumentError(
                "This call has sent another message.", reason="TOOL_CALL_ID_REUSED"
            ) from error
        if sent is None:
            raise NotFoundError(_NO_ROOM)
        return Output("The message was sent.", data={"message_id": sent})


class TemplateTools:
    """Report templates."""

    def __init__(self, store: TemplateStore) -> None:
        self._store = store

    def describe(self, tools: DescribedTools) -> None:
        """Add the two tools."""
        about = "Lists the templates for reports: the user's own and those for all."
        tools.tool(about, _schema(), _READS, name="list_report_templates")(self._templates)
        about = "A template for a report, as Markdown with its headings."
        tools.tool(about, _TEMPLATE, _READS, name="get_report_template")(self._template)

    async def _templates(self, call: Call, _arguments: dict[str, Any]) -> Output:
        found = await self._store.templates(call.user, _MOST_TEMPLATES)
        shown = ("template_id", "name", "description")
        return Output(data={"templates": [{key: asdict(one)[key] for key in shown} for one in found]})

    async def _template(self, call: Call, arguments: dict[str, Any]) -> Output:
        found = await self._store.template(call.user, arguments["template"].replace("\0", ""))
        if found is None:
            raise NotFoundError("There is no such template.")
        return Output(found.body, data=asdict(found))


def _room(room: Room) -> dict[str, Any]:
    last = {} if room.last_at is None else {"last_message_at": rfc3339(room.last_at)}
    return {"room_id": room.room_id, "name": room.name, "members": list(room.members), **last}


def _message(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "from": message.sender,
        "text": message.text,
        "sent_at": rfc3339(message.sent_at),
    }
