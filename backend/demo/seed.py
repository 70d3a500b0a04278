"""Stores the demo data, as often as it is asked to: what is there stays, with its ids."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from backend.shelf import Shelf
from backend.store.conversations import ConversationStore, Turn
from backend.store.database import Database
from backend.store.rooms import RoomStore
from backend.store.templates import TemplateStore
from backend.tools.org.folder import folder_name

_FOLDER = resources.files("backend.demo")


def demo_data() -> Mapping[str, Any]:
    """What demo.toml says."""
    return tomllib.loads((_FOLDER / "demo.toml").read_text(encoding="utf-8"))


async def seed(database: Database, shelf: Shelf) -> Mapping[str, int]:
    """How many of each there are now. Raises: StoreUnavailableError."""
    data = demo_data()
    documents = [(user, name) for user, has in data["users"].items() for name in has["documents"]]
    for user, name in documents:
        await shelf.add(user, name, (_FOLDER / "documents" / name).read_text(encoding="utf-8"))
    await _seed_rooms(RoomStore(database), data)
    templates = TemplateStore(database)
    for template in data["templates"]:
        await templates.put(None, template["name"], template["description"], template["body"].strip() + "\n")
    conversations = ConversationStore(database)
    for conversation in data["conversations"]:
        turns = [
            Turn(str(number), one["role"], one["text"], one.get("agent", ""))
            for number, one in enumerate(conversation["turns"], 1)
        ]
        await conversations.record(conversation["user"], conversation["id"], turns)
    return {
        "documents": len(documents),
        **{name: len(data[name]) for name in ("rooms", "templates", "conversations")},
    }


async def _seed_rooms(rooms: RoomStore, data: Mapping[str, Any]) -> None:
    for room in data["rooms"]:
        room_id = await rooms.put_room(room["key"], room["name"], room["members"])
        for number, message in enumerate(room["messages"], 1):
            await rooms.send(message["from"], room_id, message["text"], f"{room['key']}-{number}")


def copy_org_files(folder: Path) -> int:
    """Put each user's org files into a folder of that user's below this one; how many were not there yet."""
    copied = 0
    for user in demo_data()["users"]:
        own = folder / folder_name(user)
        own.mkdir(parents=True, exist_ok=True)
        for file in _org_files():
            target = own / file.name
            if not target.exists():
                target.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
                copied += 1
    return copied


def _org_files() -> list[Traversable]:
    return [file for file in (_FOLDER / "org").iterdir() if file.name.endswith(".org")]
