"""An agent that fills in a form: what it asks for, what it keeps, and that it acts once it may."""

import orjson
import pytest
from google.protobuf import json_format

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, text_of
from tests.harness.tooled import DONE, decide, kinds, pending, rest, tooled
from tests.integration.agents.conftest import SHAPES
from tests.integration.tasks.asking import ended, start

PREVIEW = "- text: buy milk\n- kind: todo"


def reads(question: str = "", **values: str | None) -> Script:
    """What the model reads from a message: a value for some fields."""
    every = {"text": None, "kind": None, "tags": None, **values}
    return Script(tokens=(orjson.dumps({"values": every, "question": question}).decode(),))


async def says(service: Service, query: str, *scripts: Script, **fields: object) -> list[pb.ChatChunk]:
    service.provider.enqueue(*scripts)
    return await service.chat(query, **{"agent_type": "adder", "conversation_id": "c1", **fields})


async def test_missing_fields_are_asked_for_turn_by_turn_then_shown_allowed_and_done(
    shapes: Service, backend: FakeToolService
) -> None:
    first = await says(shapes, "milk!", reads("Which kind?", text="buy milk"))
    assert kinds(first) == ["status", "agent_update", "content", "complete"]
    assert text_of(first) == "Which kind?"
    second = await says(shapes, "a todo", reads(kind="todo"))
    assert "- text: buy milk" in shapes.provider.ledger[1].body["messages"][0]["content"]
    assert text_of(second) == PREVIEW
    assert second[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION
    assert backend.ledger.calls == []
    [permission] = await pending(shapes)
    assert dict(permission.arguments) == {"text": "buy milk", "kind": "todo"}
    assert permission.reasoning == PREVIEW
    shapes.provider.enqueue(DONE)
    await decide(shapes, permission)
    log = await rest(shapes, second[0].run_id)
    assert log[-1].complete.final_text == text_of(log) == f"{PREVIEW}\n\nDone."
    [call] = backend.ledger.calls
    assert call.request == {"user_id": "ann", "text": "buy milk", "kind": "todo"}
    again = await says(shapes, "another", reads("What?"))
    assert "Known so far:\nnothing" in shapes.provider.ledger[-1].body["messages"][0]["content"]
    assert text_of(again) == "What?"


@pytest.mark.parametrize("failure", ["denied", "fails"])
async def test_what_was_collected_stays_when_it_was_not_done(
    shapes: Service, backend: FakeToolService, failure: str
) -> None:
    backend.default("AddOrgInboxItem", Answer(status="INVALID_ARGUMENT"))
    chunks = await says(shapes, "milk!", reads(text="buy milk", kind="todo"), DONE)
    [permission] = await pending(shapes)
    await decide(shapes, permission, "denied" if failure == "denied" else "approved")
    await rest(shapes, chunks[0].run_id)
    told = shapes.provider.ledger[1].body["messages"][-1]["content"]
    assert ("The person said no" in told) is (failure == "denied")
    await says(shapes, "tea instead", reads(text="buy tea"))
    [permission] = await pending(shapes)
    assert dict(permission.arguments) == {"text": "buy tea", "kind": "todo"}


async def test_a_value_that_does_not_fit_is_asked_for_again_in_our_words(shapes: Service) -> None:
    chunks = await says(shapes, "milk!", reads("ignored", text="buy milk", kind="wish"))
    assert text_of(chunks) == "This is still needed:\n- kind: todo, event, contact or checkbox"


async def test_a_value_may_be_taken_back_and_another_agent_between_changes_nothing(shapes: Service) -> None:
    await says(shapes, "milk!", reads("Kind?", text="buy milk", tags="shop"))
    await says(shapes, "how are you?", DONE, agent_type="chat")
    await says(shapes, "no tags", reads("Kind?", tags=""))
    await says(shapes, "todo", reads(kind="todo"))
    [permission] = await pending(shapes)
    assert dict(permission.arguments) == {"text": "buy milk", "kind": "todo"}


async def test_values_become_what_the_tool_takes(shapes: Service) -> None:
    await says(shapes, "milk!", reads(text="buy milk", kind="todo", tags="shop, home"))
    [permission] = await pending(shapes)
    assert json_format.MessageToDict(permission.arguments)["tags"] == ["shop", "home"]


async def test_an_answer_that_is_no_form_asks_again_and_keeps_what_is_known(shapes: Service) -> None:
    await says(shapes, "milk!", reads("Kind?", text="buy milk"))
    chunks = await says(shapes, "todo", Script(tokens=("todo!",)))
    assert "say that again" in text_of(chunks)
    await says(shapes, "todo", reads(kind="todo"))
    assert len(await pending(shapes)) == 1


async def test_what_was_allowed_is_done_once_by_another_process(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    async with tooled(dsn, provider, backend, catalog=SHAPES) as service:
        chunks = await says(service, "milk!", reads(text="buy milk", kind="todo"))
        [permission] = await pending(service)
    async with tooled(dsn, provider, backend, catalog=SHAPES) as service:
        provider.enqueue(Script(status=429), DONE)
        await decide(service, permission)
        log = await rest(service, chunks[0].run_id)
    assert text_of(log) == f"{PREVIEW}\n\nDone."
    assert len(backend.ledger.calls) == 1


async def test_a_task_whose_reading_finds_no_provider_shows_its_preview_once(shapes: Service) -> None:
    shapes.provider.enqueue(Script(status=503), reads("Kind?", text="buy milk"))
    task = await start(shapes, agent_type="adder")
    done = await ended(shapes, task.task_id)
    assert (done.result, done.deferrals) == ("Kind?", 1)
