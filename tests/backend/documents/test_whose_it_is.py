"""Nobody sees another's rows: by id they are not there, in lists and searches they do not stand."""

from typing import Any

import pytest

from backend.store.conversations import Turn
from backend.store.rooms import RoomStore
from backend.store.templates import TemplateStore
from tests.backend.documents.backend import Backend

NOBODY = "00000000-0000-4000-8000-000000000000"
TEXT = "---\nauthor: Canary {0}\ntags: [tag{0}]\n---\n# Canary {0}\n\ncanary song of {0}\n"


async def fill(backend: Backend) -> dict[str, str]:
    """The same for two users, with the name of each in all of it; the ids of what bob has."""
    rooms, templates = RoomStore(backend.database), TemplateStore(backend.database)
    ids: dict[str, str] = {}
    for user in ("ann", "bob"):
        ids["document"] = await backend.add("canary.md", TEXT.format(user), user=user)
        await backend.tools.conversations.record(user, "c1", [Turn("1", "user", f"canary of {user}")])
        await backend.tools.conversations.record(user, f"c-{user}", [Turn("1", "user", f"canary of {user}")])
        ids["room"] = await rooms.put_room(f"canary-{user}", f"room of {user}", [user])
        await rooms.send(user, ids["room"], f"canary of {user}", "")
        await templates.put(user, f"template {user}", "canary", f"canary of {user}")
    found = await backend.ask("SearchEntities", "bob", query="canary")
    ids["entity"] = found.entities[0].entity_id
    listed = await backend.invoke("list_report_templates", "bob")
    ids["template"] = listed["templates"][0]["template_id"]
    return ids


@pytest.mark.parametrize(
    ("rpc", "field", "which"),
    [
        ("GetDocument", "document_id", "document"),
        ("GetDocumentContent", "document_id", "document"),
        ("GetEntity", "entity_id", "entity"),
    ],
)
async def test_by_id_there_is_nothing_of_another(backend: Backend, rpc: str, field: str, which: str) -> None:
    ids = await fill(backend)

    another = await backend.refused(rpc, **{field: ids[which]})
    never = await backend.refused(rpc, **{field: NOBODY})
    no_id = await backend.refused(rpc, **{field: "' OR true --"})
    own = await backend.ask(rpc, "bob", **{field: ids[which]})

    assert another.code.name == "NOT_FOUND"
    assert "bob" in str(own)
    assert another.text == never.text == no_id.text
    assert "bob" not in another.everything


async def test_a_conversation_of_another_is_not_there(backend: Backend) -> None:
    await fill(backend)
    query: dict[str, Any] = {"query": "canary"}

    assert (
        await backend.refused("SearchConversationCache", conversation_id="c-bob", **query)
    ).code.name == "NOT_FOUND"
    for conversation_id in ("c1", ""):
        found = await backend.ask("SearchConversationCache", conversation_id=conversation_id, **query)
        assert found.cache_hit
        assert "bob" not in str(found)


async def test_a_room_and_a_template_of_another_are_not_there(backend: Backend) -> None:
    ids = await fill(backend)

    for name, arguments in (
        ("get_room_messages", {"room_id": ids["room"]}),
        ("send_room_message", {"room_id": ids["room"], "text": "let me in"}),
        ("get_report_template", {"template": ids["template"]}),
        ("get_report_template", {"template": "template bob"}),
    ):
        assert (await backend.not_invoked(name, **arguments)).code.name == "NOT_FOUND"
    assert await backend.count("messages") == 2


async def test_lists_and_searches_have_ones_own_rows_only(backend: Backend) -> None:
    await fill(backend)

    answers = [
        await backend.ask("SearchDocuments", query="canary bob"),
        await backend.ask("SearchDocuments", query="", filters=["-tag:none"]),
        await backend.ask("SearchEntities", query="canary"),
        await backend.ask("SearchEntities", query="", entity_types=["person"]),
        await backend.invoke("list_document_tags"),
        await backend.invoke("get_user_rooms"),
        await backend.invoke("list_report_templates"),
    ]

    expanded = await backend.ask("ExpandQuery", query="canary bob and canary ann")
    assert expanded.key_entities == ["Canary ann"]
    told = [str(answer) for answer in answers]
    assert all("ann" in one for one in told)
    assert not [one for one in told if "bob" in one]
