"""The service's own gateway takes the tools as the agents' files name them; without a part they are off."""

import json
from typing import Any

from backend.store.rooms import RoomStore
from tests.backend.documents.backend import Backend
from tests.harness.tools import ANN, Told, context, options
from tests.toolserver.backend import TOKEN
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway
from tools.gateway.specs import SpecLimits

OWN = {
    "get_user_rooms",
    "get_room_messages",
    "send_room_message",
    "list_document_tags",
    "list_report_templates",
    "get_report_template",
}
OFF = "get_weather_data"


async def use(source: ToolGateway | Described, name: str, arguments: dict[str, Any]) -> Any:
    tool = next(tool for tool in await source.offered(ANN) if tool.name == name)
    return await source.call(tool, arguments, context(), Told())


async def test_an_agents_calls_reach_the_rows(backend: Backend) -> None:
    document_id = await backend.add("roses.md", "# Roses\n\nCut them in March.\n")
    room_id = await RoomStore(backend.database).put_room("garden", "Garden", ["ann", "bob"])
    async with ToolGateway(options(backend.address, token=TOKEN)) as gateway:
        described = Described(gateway, SpecLimits())
        offered = {tool.name: tool for tool in await described.offered(ANN)}
        found = await use(gateway, "search_documents", {"query": "rose"})
        sent = await use(described, "send_room_message", {"room_id": room_id, "text": "I am late."})
        read = await use(described, "get_room_messages", {"room_id": room_id})
        off = await use(gateway, OFF, {"location": "Rome"})
        left = {tool.name for tool in await gateway.offered(ANN)}

    assert offered.keys() == OWN
    assert [name for name, tool in offered.items() if not tool.read_only] == ["send_room_message"]
    assert json.loads(found.text)["results"][0]["document_id"] == document_id
    assert (sent.ok, read.ok, read.untrusted) == (True, True, True)
    assert "I am late." in read.text
    assert off.reason == "TOOL_OFF"
    assert OFF not in left
