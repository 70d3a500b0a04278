"""A process dies in a turn of a caller's own graph: what its steps have said and done is not repeated."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tooled import decide, pending, rest
from tests.integration.agents.own.conftest import MODULES
from tests.integration.agents.own.modules.own_plays import CANARY
from tests.integration.agents.test_deaths import Worker, standing
from tests.integration.tasks.asking import start
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

WITHIN = 20.0
POLISHED = ["polish: A draft"] * 2
DRAFT, LETTER = Script(tokens=("A draft",)), Script(tokens=("A", " letter"))


@pytest.fixture
async def place(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, backend: FakeToolService, catalog: Path
) -> AsyncIterator[Place]:
    environment = {
        "ORCHESTRATOR_AGENTS__FOLDER": str(catalog),
        "ORCHESTRATOR_AGENTS__GRAPHS_FOLDER": str(MODULES),
        "OPENAI_BASE_URL": provider.base_url,
        "USE_GRPC_TOOL_SERVICE": "true",
        "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        **SHORT_LEASES,
    }
    async with workers(tmp_path, dsn, 1, environment) as [place]:
        yield place


async def test_a_graph_goes_on_where_it_was_whether_it_was_cut_between_steps_in_one_or_at_its_question(
    place: Place, dsn: str, provider: ScriptedProvider
) -> None:
    worker, asked = Worker(place, dsn, provider), list[str]()

    def answers(body: dict[str, Any]) -> Script:
        asked.append(body["messages"][-1]["content"])
        if asked[-1].startswith("draft"):
            return replace(DRAFT, hold_after=0 if len(asked) == 1 else None)
        return replace(LETTER, hold_after=1 if asked.count(asked[-1]) == 1 else None)

    provider.answer_by(answers)
    task = await start(worker.service, "write", agent_type="asks_late")
    await provider.call(1, within=WITHIN)
    await worker.dies_at("checkpoint", provider.release)
    number = 2
    while (await provider.call(number, within=WITHIN)) and not asked[number - 1].startswith("polish"):
        number += 1
    await provider.ledger[number - 1].sent(1)
    await worker.dies()
    await worker.service.run_is(task.task_id, "waiting_for_permission", within=WITHIN)
    await worker.dies()
    [permission] = await pending(worker.service)
    await decide(worker.service, permission)
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    # What a step has brought may share its commit with the checkpoint after it: then both are undone.
    assert asked in (["draft: write", *POLISHED], ["draft: write", "draft: write", *POLISHED])
    log = await rest(worker.service, task.task_id)
    assert log[-1].complete.final_text == "A draft\n\nA letter\n\napproved: A draft ()"
    assert standing(log) == log[-1].complete.final_text


async def test_a_tool_of_a_graph_that_was_cut_is_asked_about_again_and_failures_are_logged_without_their_text(
    place: Place, dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    worker = Worker(place, dsn, provider)
    backend.script("AddOrgInboxItem", Answer(hold=True))
    task = await start(worker.service, "add milk", agent_type="notes")
    first = await worker.is_allowed(task.task_id)
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", WITHIN)
    await worker.dies()
    again = await worker.is_allowed(task.task_id)
    assert again.permission_id != first.permission_id
    assert "nobody knows whether it was done" in again.reasoning
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    assert len(backend.ledger.calls) == 2
    assert len({call.metadata["x-tool-call-id"] for call in backend.ledger.calls}) == 1
    assert len(backend.ledger.done) == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await worker.service.chat(agent_type="failing")
    told = "\n".join(place.process.errors + place.process.output)
    assert '"agent": "failing"' in told
    assert CANARY not in told
