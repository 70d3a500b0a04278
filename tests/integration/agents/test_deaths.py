"""A process dies in a turn with tools: what was done is not done again, and what nobody knows is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import ADDS_MILK, DONE, decide, kinds, pending, rest, told, wish, wishing
from tests.integration.tasks.asking import start
from tests.integration.tasks.tables import audited, connected
from tests.integration.tasks.workers import SHORT_LEASES, Place, Trap, workers

FEED = {"feed_id": "f1"}
WITHIN = 20.0


@pytest.fixture
async def place(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, backend: FakeToolService
) -> AsyncIterator[Place]:
    environment = {
        "OPENAI_BASE_URL": provider.base_url,
        "USE_GRPC_TOOL_SERVICE": "true",
        "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        **SHORT_LEASES,
    }
    async with workers(tmp_path, dsn, 1, environment) as [place]:
        yield place


class Worker:
    """The process of a place, whichever it is by now, as a service."""

    def __init__(self, place: Place, dsn: str, provider: ScriptedProvider) -> None:
        self._place = place
        self._dsn = dsn
        self._provider = provider

    @property
    def service(self) -> Service:
        return Service(self._place.stub, self._place.channel, 0, self._dsn, self._provider)

    async def dies(self) -> None:
        await self._place.kill()
        await self._place.there()

    async def dies_at(self, point: str, release: Callable[[], None], *, committed: bool = False) -> None:
        """Die in the middle of a statement, which is undone or not; `release` lets the run come to it."""
        await audited(self._dsn)
        trap = Trap(self._dsn, [self._place])
        killing = asyncio.create_task(trap.kill_at(point, committed=committed, within=WITHIN))
        await armed(self._dsn)
        release()
        assert await killing
        await self._place.there()

    async def is_allowed(self, run_id: str) -> pb.PendingPermission:
        """Allow what the run waits for."""
        await self.service.run_is(run_id, "waiting_for_permission", within=WITHIN)
        [permission] = await pending(self.service)
        await decide(self.service, permission)
        return permission


@pytest.fixture
def worker(place: Place, dsn: str, provider: ScriptedProvider) -> Worker:
    return Worker(place, dsn, provider)


async def test_a_call_that_was_cut_is_asked_about_again_and_is_done_once(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider
) -> None:
    backend.script("AddOrgInboxItem", Answer(hold=True))
    provider.enqueue(ADDS_MILK, DONE)
    task = await start(worker.service, "add milk", agent_type="org_inbox")
    first = await worker.is_allowed(task.task_id)
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", WITHIN)
    await worker.dies()
    again = await worker.is_allowed(task.task_id)
    assert again.permission_id != first.permission_id
    assert again.arguments_digest == first.arguments_digest
    assert "nobody knows whether it was done" in again.reasoning
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    assert len(backend.ledger.calls) == 2
    assert len({call.metadata["x-tool-call-id"] for call in backend.ledger.calls}) == 1
    assert len(backend.ledger.done) == 1


async def test_who_refuses_to_repeat_what_was_cut_does_not_make_it_undone(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider
) -> None:
    backend.script("AddOrgInboxItem", Answer(hold=True))
    provider.enqueue(ADDS_MILK, DONE)
    task = await start(worker.service, "add milk", agent_type="org_inbox")
    await worker.is_allowed(task.task_id)
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", WITHIN)
    await worker.dies()
    await worker.service.run_is(task.task_id, "waiting_for_permission", within=WITHIN)
    [permission] = await pending(worker.service)
    await decide(worker.service, permission, "denied")
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    assert "nobody knows whether it was done" in told(provider, 2)[0]
    assert len(backend.ledger.calls) == 1


async def test_a_call_that_was_cut_and_may_be_repeated_is_made_again_unasked(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider
) -> None:
    backend.script("RefreshRSSFeed", Answer(hold=True))
    provider.enqueue(wishing(wish("refresh_rss_feed", FEED)), DONE)
    task = await start(worker.service, "what is new?", agent_type="rss")
    await worker.is_allowed(task.task_id)
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", WITHIN)
    await worker.dies()
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    assert len({call.metadata["x-tool-call-id"] for call in backend.ledger.calls}) == 1


async def test_what_was_done_and_what_was_said_before_a_death_stays(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider
) -> None:
    provider.enqueue(ADDS_MILK, Script(tokens=("It ", "is"), hold_after=1))
    task = await start(worker.service, "add milk", agent_type="org_inbox")
    await worker.is_allowed(task.task_id)
    await (await provider.call(2, within=WITHIN)).sent(1)
    await worker.dies()
    provider.enqueue(DONE)
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    assert len(backend.ledger.calls) == 1
    log = await rest(worker.service, task.task_id)
    assert log[-1].complete.final_text == "I add it.\n\nDone."
    assert standing(log) == "I add it.\n\nDone."
    assert kinds(log).count("tool_call") == 1


@pytest.mark.parametrize("answers", [[DONE], [ADDS_MILK, DONE]])
async def test_a_death_between_a_step_and_its_checkpoint_ends_no_turn_with_another_ones_answer(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider, answers: list[Script]
) -> None:
    provider.enqueue(Script(tokens=("Before.",)), replace(answers[0], hold_after=0), *answers[1:])
    before = await start(worker.service, "hello", agent_type="org_inbox", conversation_id="c1")
    assert await worker.service.run_ended(before.task_id, within=WITHIN) == "succeeded"
    task = await start(worker.service, "add milk", agent_type="org_inbox", conversation_id="c1")
    await provider.call(2, within=WITHIN)
    await worker.dies_at("checkpoint", provider.release)
    if len(answers) > 1:
        await worker.is_allowed(task.task_id)
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    log = await rest(worker.service, task.task_id)
    assert log[-1].complete.final_text == ("Done." if len(answers) == 1 else "I add it.\n\nDone.")
    assert standing(log) == log[-1].complete.final_text
    assert len(backend.ledger.calls) == len(answers) - 1
    assert len(provider.ledger) == 1 + len(answers)  # what the model had said was not asked for again
    after = await start(worker.service, "and now?", agent_type="org_inbox", conversation_id="c1")
    assert await worker.service.run_ended(after.task_id, within=WITHIN) == "succeeded"
    remembered = [message["content"] for message in provider.ledger[-1].body["messages"]]
    assert [said for said in remembered if said in ("Before.", "add milk", "Done.", "and now?")] == [
        "Before.",
        "add milk",
        "Done.",
        "and now?",
    ]


async def test_a_death_between_the_last_checkpoint_and_the_end_says_only_the_last_message_again(
    worker: Worker, backend: FakeToolService, provider: ScriptedProvider
) -> None:
    provider.enqueue(ADDS_MILK, replace(DONE, hold_after=0))
    task = await start(worker.service, "add milk", agent_type="org_inbox")
    await worker.is_allowed(task.task_id)
    await provider.call(2, within=WITHIN)
    await worker.dies_at("checkpoint", provider.release, committed=True)
    assert await worker.service.run_ended(task.task_id, within=WITHIN) == "succeeded"
    log = await rest(worker.service, task.task_id)
    assert standing(log) == log[-1].complete.final_text == "I add it.\n\nDone."
    assert {c.content.message_index for c in log if c.content.text == "\n\nDone."} == {1}
    assert len(provider.ledger) == 2
    assert len(backend.ledger.calls) == 1


async def armed(dsn: str) -> None:
    """Return when a trap is set."""
    async with connected(dsn) as connection, asyncio.timeout(WITHIN):
        while not await connection.fetchval("SELECT count(*) FROM audit.traps"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def standing(log: list[pb.ChatChunk]) -> str:
    """The text that readers have in the end, who discard what they are told to."""
    text: dict[int, str] = {}
    for chunk in log:
        if chunk.HasField("reset"):
            text = {at: said for at, said in text.items() if at < chunk.reset.from_sequence}
        text[chunk.sequence] = chunk.content.text
    return "".join(text.values())
