"""A caller's own graph stops for a person: at its own questions, and before what its tools change."""

import pytest
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, text_of
from tests.harness.tooled import decide, kinds, pending, rest, wish, wishing

DRAFT = Script(tokens=("Dear", " Bob"))


def struct(values: dict[str, str]) -> Struct:
    made = Struct()
    made.update(values)
    return made


async def asks(own: Service, agent: str = "asks", **fields: object) -> list[pb.ChatChunk]:
    own.provider.enqueue(DRAFT)
    chunks = await own.chat("write", agent_type=agent, **fields)
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION
    return chunks


@pytest.mark.parametrize(
    ("decision", "fields", "answer"),
    [
        ("approved", {}, "approved: Dear Bob ()"),
        ("approved", {"edited_arguments": struct({"text": "Hi Bob"})}, "approved: Hi Bob ()"),
        ("denied", {"reason": "too stiff"}, "denied: Dear Bob (too stiff)"),
    ],
)
async def test_a_question_of_the_graph_is_a_permission_and_the_decision_is_its_answer(
    own: Service, decision: str, fields: dict[str, object], answer: str
) -> None:
    chunks = await asks(own, conversation_id="c1")
    assert kinds(chunks)[2:] == ["content", "permission_requested", "status", "complete"]
    [permission] = await pending(own)
    assert (permission.operation_type, permission.safety_level) == ("interrupt", "high")
    assert permission.reasoning == "May this go out?"
    assert dict(permission.arguments) == {"reason": "May this go out?", "text": "Dear Bob"}
    assert list(permission.allowed_scopes) == [pb.PERMISSION_SCOPE_ONCE]
    decided = await decide(own, permission, decision, **fields)
    more = await rest(own, decided.run_id, chunks[-2].sequence)
    assert kinds(more) == ["permission_resolved", "status", "content", "complete"]
    assert more[-1].complete.final_text == f"Dear Bob\n\n{answer}"
    assert len(own.provider.ledger) == 1


async def test_a_graph_within_the_graph_may_ask_too(own: Service) -> None:
    own.provider.enqueue(DRAFT)
    chunks = await own.chat("write", agent_type="nested")
    [permission] = await pending(own)
    await decide(own, permission)
    end = (await rest(own, chunks[0].run_id))[-1]
    assert end.complete.final_text == "Dear Bob\n\napproved: Dear Bob ()."
    assert len(own.provider.ledger) == 1


async def test_a_grant_covers_no_change_once_the_graph_has_read_what_strangers_wrote(
    own: Service, backend: FakeToolService
) -> None:
    grants = pb.PermissionGrants(file_write_permission=True)
    adds = wishing(wish("add_org_inbox_item", {"text": "milk", "kind": "todo"}))
    own.provider.enqueue(adds, Script(tokens=("Done.",)))
    chunks = await own.chat("add milk", agent_type="react", permission_grants=grants)
    assert text_of(chunks) == "Done."
    own.provider.enqueue(wishing(wish("search_rss_feeds", {"query": "news"})), adds)
    chunks = await own.chat("news?", agent_type="react", permission_grants=grants)
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION
    assert [call.method for call in backend.ledger.calls] == ["AddOrgInboxItem", "SearchRSSFeeds"]


async def test_two_questions_of_one_step_are_asked_one_after_the_other(own: Service) -> None:
    chunks = await own.chat("go", agent_type="asks_twice")
    [first] = await pending(own)
    assert dict(first.arguments) == {"value": "Sure?"}
    await decide(own, first)
    await own.run_is(chunks[0].run_id, "waiting_for_permission")
    [second] = await pending(own)
    assert second.permission_id != first.permission_id
    await decide(own, second, "denied")
    assert (await rest(own, chunks[0].run_id))[-1].complete.final_text == "approved and denied"


async def test_a_tool_of_the_graph_asks_and_acts_once(own: Service, backend: FakeToolService) -> None:
    chunks = await own.chat("buy milk", agent_type="notes")
    assert backend.ledger.calls == []
    [permission] = await pending(own)
    assert permission.tool_name == "add_org_inbox_item"
    await decide(own, permission)
    more = await rest(own, chunks[0].run_id, chunks[-2].sequence)
    assert kinds(more) == ["permission_resolved", "status", "tool_call", "tool_result", "content", "complete"]
    [call] = backend.ledger.calls
    assert (call.method, call.request["text"]) == ("AddOrgInboxItem", "buy milk")
    assert call.metadata["x-tool-call-id"] == more[2].tool_call.tool_call_id
    assert list(more[-1].tools_used) == ["add_org_inbox_item"]


async def test_a_tool_that_is_refused_is_not_called_and_the_graph_is_told(
    own: Service, backend: FakeToolService
) -> None:
    chunks = await own.chat("buy milk", agent_type="notes")
    [permission] = await pending(own)
    await decide(own, permission, "denied", reason="not now")
    more = await rest(own, chunks[0].run_id, chunks[-2].sequence)
    assert more[-1].complete.final_text == "Not called. The person said no. Reason: not now"
    assert backend.ledger.calls == []


async def test_a_tool_that_is_edited_does_what_the_person_said(
    own: Service, backend: FakeToolService
) -> None:
    chunks = await own.chat("buy milk", agent_type="notes")
    [permission] = await pending(own)
    await decide(own, permission, edited_arguments=struct({"text": "buy tea", "kind": "todo"}))
    await rest(own, chunks[0].run_id, chunks[-2].sequence)
    assert [call.request["text"] for call in backend.ledger.calls] == ["buy tea"]


async def test_several_wishes_of_one_step_are_each_asked_about_and_made_once(
    own: Service, backend: FakeToolService
) -> None:
    texts = ["one", "two", "one"]
    wishes = [wish("add_org_inbox_item", {"text": text, "kind": "todo"}) for text in texts]
    own.provider.enqueue(
        wishing(wish("get_weather_data", {"location": "Bonn"}), *wishes), Script(tokens=("Done.",))
    )
    chunks = await own.chat("three", agent_type="react")
    for decision in ("approved", "approved", "approved"):
        await own.run_is(chunks[0].run_id, "waiting_for_permission")
        [permission] = await pending(own)
        await decide(own, permission, decision)
    more = await rest(own, chunks[0].run_id)
    assert text_of(more) == "Done."
    done = [call.request["text"] for call in backend.ledger.calls if call.method == "AddOrgInboxItem"]
    assert sorted(done) == sorted(texts)
    assert len(own.provider.ledger) == 2
