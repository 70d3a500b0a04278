"""A process dies in a turn of several steps: what was asked and looked up before is not repeated."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, chat_request, text_of
from tests.harness.tooled import DONE, decide, kinds, pending, rest
from tests.integration.agents.conftest import SHAPES
from tests.integration.agents.test_forms import PREVIEW, reads
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

WITHIN = 20.0
HIT = {"document_id": "d1", "title": "My notes", "content_preview": "Rain was expected."}
GOES_ON = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)


@pytest.fixture
async def place(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, backend: FakeToolService
) -> AsyncIterator[Place]:
    environment = {
        "ORCHESTRATOR_AGENTS__FOLDER": str(SHAPES),
        "OPENAI_BASE_URL": provider.base_url,
        "USE_GRPC_TOOL_SERVICE": "true",
        "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        **SHORT_LEASES,
    }
    async with workers(tmp_path, dsn, 1, environment) as [place]:
        yield place


async def killed_at(
    place: Place,
    dsn: str,
    provider: ScriptedProvider,
    call: int,
    *then: Script,
    heard: bool = False,
    **fields: object,
) -> list[pb.ChatChunk]:
    """The log of a turn whose process was killed in its model call of this number, from 1; `then` follow.

    `heard`: the caller had read some of its answer.
    """
    stream = aiter(place.stub.StreamChat(chat_request("hello", run_options=GOES_ON, **fields)))
    first = await anext(stream)
    await (await provider.call(call, within=WITHIN)).sent(1)
    if heard:
        while not (await anext(stream)).HasField("content"):
            pass
    provider.enqueue(*then)
    await place.kill()
    await place.there()
    service = Service(place.stub, place.channel, 0, dsn, provider)
    assert await service.run_ended(first.run_id, within=WITHIN) == "succeeded"
    return await rest(service, first.run_id)


async def test_research_that_dies_while_it_answers_looks_nothing_up_again_and_cites_once(
    place: Place, dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    backend.default("SearchDocuments", Answer(answer={"results": [HIT], "total_count": 1}))
    gaps = orjson.dumps({"missing": [], "queries": [], "read": []}).decode()
    provider.enqueue(Script(tokens=(gaps,)), Script(tokens=("Half", " of it"), hold_after=1))
    then = Script(tokens=("Yes [1].",))
    log = await killed_at(place, dsn, provider, 2, then, heard=True, agent_type="researcher")
    assert [call.method for call in backend.ledger.calls] == ["SearchDocuments"]
    assert len(provider.ledger) == 3
    assert log[-1].complete.final_text == "Yes [1]."
    [reset] = [c.sequence for c in log if c.HasField("reset")]
    after = [c for c in log if c.sequence > reset]
    assert text_of(after) == "Yes [1]."
    assert sum(len(c.content.citations) for c in log) == 1


async def test_edits_that_die_while_they_are_mended_ask_no_answer_twice_and_go_out_once(
    place: Place, dsn: str, provider: ScriptedProvider
) -> None:
    def proposing(original: str) -> str:
        edit = {"op_type": "delete_range", "original_text": original, "anchor_text": "", "text": ""}
        whole = {"answer": "Gone.", "operations": [{**edit, "note": "", "confidence": 1}]}
        return orjson.dumps(whole).decode()

    editor = pb.ActiveEditor(is_editable=True, filename="a.md", content="It rains.")
    provider.enqueue(
        Script(tokens=(proposing("snow"),)), Script(tokens=("{", proposing("rains")[1:]), hold_after=1)
    )
    then = Script(tokens=(proposing("rains"),))
    log = await killed_at(place, dsn, provider, 2, then, agent_type="editor", active_editor=editor)
    assert len(provider.ledger) == 3
    assert "snow" in provider.ledger[2].body["messages"][-1]["content"]
    assert kinds(log).count("editor_operations") == 1
    assert log[-1].complete.final_text == "Gone."


async def test_a_form_that_dies_while_it_collects_keeps_what_it_knew_and_reads_the_message_once_more(
    place: Place, dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    form: dict[str, Any] = {"agent_type": "adder", "conversation_id": "c1"}
    provider.enqueue(reads("Which kind?", text="buy milk"))
    service = Service(place.stub, place.channel, 0, dsn, provider)
    assert text_of(await service.chat("milk!", **form)) == "Which kind?"
    provider.enqueue(replace(halves(reads(tags="lost", text="lost")), hold_after=1))
    log = await killed_at(place, dsn, provider, 2, reads("Which kind, please?", tags="shop"), **form)
    assert len(provider.ledger) == 3
    again = provider.ledger[2].body["messages"]
    assert "- text: buy milk" in again[0]["content"]
    assert again == provider.ledger[1].body["messages"]
    assert log[-1].complete.final_text == text_of(log) == "Which kind, please?"
    assert "reset" not in kinds(log)  # nothing of the answer that was cut had gone out
    provider.enqueue(reads(kind="todo"))
    service = Service(place.stub, place.channel, 0, dsn, provider)
    shown = await service.chat("a todo", **form)
    assert text_of(shown) == f"{PREVIEW}\n- tags: shop"
    assert backend.ledger.calls == []


async def test_a_form_that_dies_between_its_preview_and_its_action_shows_it_once_and_acts_once(
    place: Place, dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    provider.enqueue(reads(text="buy milk", kind="todo"))
    service = Service(place.stub, place.channel, 0, dsn, provider)
    chunks = await service.chat("milk!", agent_type="adder", conversation_id="c1", run_options=GOES_ON)
    run_id = chunks[0].run_id
    await service.run_is(run_id, "waiting_for_permission", within=WITHIN)
    [asked] = await pending(service)
    await place.kill()
    await place.there()
    service = Service(place.stub, place.channel, 0, dsn, provider)
    [permission] = await pending(service)
    assert (permission.permission_id, permission.arguments_digest) == (
        asked.permission_id,
        asked.arguments_digest,
    )
    assert backend.ledger.calls == []
    provider.enqueue(DONE)
    await decide(service, permission)
    assert await service.run_ended(run_id, within=WITHIN) == "succeeded"
    log = await rest(service, run_id)
    assert text_of(log) == log[-1].complete.final_text == f"{PREVIEW}\n\nDone."
    assert [call.method for call in backend.ledger.calls] == ["AddOrgInboxItem"]
    assert len(provider.ledger) == 2  # the form was read once
    provider.enqueue(reads("What?"))
    await service.chat("another", agent_type="adder", conversation_id="c1")
    assert "Known so far:\nnothing" in provider.ledger[-1].body["messages"][0]["content"]


def halves(script: Script) -> Script:
    """The same answer in two pieces."""
    text = "".join(script.tokens or ())
    return replace(script, tokens=(text[:9], text[9:]))
