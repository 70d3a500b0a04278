"""The example, from the question to the inbox."""

from collections.abc import AsyncIterator

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.process import ROOT
from tests.harness.service import Service, settings_for_tests, text_of
from tests.harness.tooled import decide, kinds, pending, rest, tooled
from tests.integration.agents.own.test_asking import struct
from wiring.agents import check

REMINDER = ROOT / "examples" / "reminder"
FOLDERS = {"folder": REMINDER / "agents", "graphs_folder": REMINDER / "graphs"}


@pytest.fixture
async def reminding(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    policy = {"policy": {"add_org_inbox_item": "allow"}}
    async with tooled(dsn, provider, backend, agents=FOLDERS, tools=policy) as service:
        yield service


async def test_a_reminder_is_worded_read_changed_and_sent(
    reminding: Service, backend: FakeToolService
) -> None:
    reminding.provider.enqueue(Script(tokens=("Buy ", "milk.")), Script(tokens=("Buy tea.",)))
    chunks = await reminding.chat("remind me to buy milk", conversation_id="r1")
    assert [c.agent_name for c in chunks][-1] == "reminder"
    assert text_of(chunks) == "Buy milk."
    [permission] = await pending(reminding, conversation_id="r1")
    assert (permission.reasoning, backend.ledger.calls) == ("May this go into your inbox?", [])
    await decide(reminding, permission, edited_arguments=struct({"text": "Buy oat milk."}))
    more = await rest(reminding, chunks[0].run_id, chunks[-2].sequence)
    assert kinds(more) == ["permission_resolved", "status", "tool_call", "tool_result", "content", "complete"]
    assert more[-1].complete.final_text == "Buy milk.\n\nIn your inbox: Buy oat milk."
    assert [call.request["text"] for call in backend.ledger.calls] == ["Buy oat milk."]
    second = await reminding.chat("remind me of the tea", conversation_id="r1")
    assert "Earlier reminders:\nBuy oat milk." in reminding.provider.ledger[1].body["messages"][-1]["content"]
    [permission] = await pending(reminding, conversation_id="r1")
    await decide(reminding, permission, "denied")
    end = (await rest(reminding, second[0].run_id))[-1]
    assert end.complete.final_text == "Buy tea.\n\nNothing was written down."
    assert end.complete.finish_reason == pb.FINISH_REASON_STOP
    assert len(backend.ledger.calls) == 1


def test_the_files_of_the_example_are_in_order() -> None:
    assert check(settings_for_tests(agents=FOLDERS)) == 2
