"""Rooms and messages as the agent `messaging` uses them; a message is sent once, whatever restarts."""

import asyncio

from backend.store.rooms import RoomStore
from backend.store.templates import TemplateStore
from tests.backend.documents.backend import Backend, running


async def room(backend: Backend) -> str:
    """A room of ann and bob."""
    return await RoomStore(backend.database).put_room("garden", "Garden", ["ann", "bob"])


async def test_what_ann_sends_bob_reads(backend: Backend) -> None:
    room_id = await room(backend)

    sent = await backend.invoke("send_room_message", room_id=room_id, text="I am late.", call_id="t1")
    rooms = (await backend.invoke("get_user_rooms", "bob"))["rooms"]
    read = (await backend.invoke("get_room_messages", "bob", room_id=room_id))["messages"]

    assert [(one["room_id"], one["name"], one["members"]) for one in rooms] == [
        (room_id, "Garden", ["ann", "bob"])
    ]
    assert [(one["from"], one["text"]) for one in read] == [("ann", "I am late.")]
    assert read[0]["message_id"] == sent["message_id"]
    assert rooms[0]["last_message_at"] == read[0]["sent_at"]


async def test_the_newest_messages_come_in_order_and_older_ones_by_page(backend: Backend) -> None:
    room_id = await room(backend)
    for number in range(5):
        await backend.invoke("send_room_message", room_id=room_id, text=f"m{number}")

    newest = (await backend.invoke("get_room_messages", room_id=room_id, limit=2))["messages"]
    before = newest[0]["message_id"]
    older = (await backend.invoke("get_room_messages", room_id=room_id, before=before))["messages"]

    assert [one["text"] for one in newest] == ["m3", "m4"]
    assert [one["text"] for one in older] == ["m0", "m1", "m2"]


async def test_a_message_is_sent_once_over_a_restart(backend_dsn: str, schema: str) -> None:
    async with running(backend_dsn, schema=schema) as backend:
        room_id = await room(backend)
        say = {"room_id": room_id, "text": "once"}
        both = await asyncio.gather(
            *(backend.invoke("send_room_message", call_id="t1", **say) for _ in range(5))
        )
    async with running(backend_dsn, schema=schema) as backend:
        again = await backend.invoke("send_room_message", call_id="t1", **say)
        reused = await backend.not_invoked("send_room_message", call_id="t1", room_id=room_id, text="else")
        of_bob = await backend.invoke("send_room_message", "bob", call_id="t1", **say)
        assert await backend.count("messages") == 2

    assert [again] * 5 == list(both)
    assert reused.reason == "TOOL_CALL_ID_REUSED"
    assert of_bob != again


async def test_a_message_is_sent_once_although_its_answer_was_lost(backend: Backend) -> None:
    room_id = await room(backend)
    first = await backend.invoke("send_room_message", call_id="t1", room_id=room_id, text="once")
    async with backend.database.connection() as connection:
        await connection.execute("DELETE FROM tool_calls")  # as if the process had died before it was kept

    again = await backend.invoke("send_room_message", call_id="t1", room_id=room_id, text="once")
    async with backend.database.connection() as connection:
        await connection.execute("DELETE FROM tool_calls")
    reused = await backend.not_invoked("send_room_message", call_id="t1", room_id=room_id, text="else")

    assert first == again
    assert reused.reason == "TOOL_CALL_ID_REUSED"
    assert await backend.count("messages") == 1


async def test_what_is_no_message_is_refused(backend: Backend) -> None:
    room_id = await room(backend)

    for text in ("", " \n", "\0", "x" * 10_001):
        answer = await backend.not_invoked("send_room_message", room_id=room_id, text=text)
        assert answer.code.name == "INVALID_ARGUMENT"
    assert await backend.count("messages") == 0


async def test_templates_are_ones_own_and_those_for_all(backend: Backend) -> None:
    templates = TemplateStore(backend.database)
    for owner, body in ((None, "# For all"), ("ann", "# Ann's")):
        await templates.put(owner, "Minutes", "of a meeting", body)
    await templates.put(None, "Incident", "of a fault", "# What")

    names = [one["name"] for one in (await backend.invoke("list_report_templates"))["templates"]]

    assert names == ["Incident", "Minutes", "Minutes"]
    assert (await backend.invoke("get_report_template", template="minutes"))["body"] == "# Ann's"
    assert (await backend.invoke("get_report_template", "bob", template="minutes"))["body"] == "# For all"
