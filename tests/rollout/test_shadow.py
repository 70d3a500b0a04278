"""Shadow calls: compared, never an answer, and without a hand to act with."""

from contextlib import aclosing
from pathlib import Path

import grpc
import pytest

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.flags import Flag
from llm_orchestrator_client.rollout.shadow import ShadowSettings
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tooled import ADDS_MILK, tooled
from tests.rollout.rolling import LOCAL, flags_on, request_of, rolled_out
from tests.rollout.scripted_orchestrator import Play, ScriptedOrchestrator, complete, content, failure, status

GRANTS = pb.PermissionGrants(file_write_permission=True)


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A flag file: nobody goes to the orchestrator, of everybody a copy does."""
    return flags_on(tmp_path / "flags.json", 0, SHADOW_PERCENTAGE=100)


@pytest.mark.parametrize(
    ("said", "result"), [(LOCAL, "same"), ("something else", "different")], ids=["same", "different"]
)
async def test_a_copy_is_compared_and_the_caller_gets_the_local_answer(
    orchestrator: ScriptedOrchestrator, shadowed: Path, said: str, result: str
) -> None:
    orchestrator.play = Play([status(), content(2, said), complete(3, said)])
    async with rolled_out(orchestrator.address, shadowed) as world:
        answered = await world.ask()
        await world.rollout.shadow.settled()
        assert (answered.text, answered.ends, world.local_calls) == (LOCAL, 1, 1)
        assert all(event.chunk is None for event in answered.events)  # nothing of the orchestrator's
        [report] = world.reports
        assert report.same == (result == "same")
        assert (report.local.text, report.orchestrator.text) == (LOCAL, said)
        assert report.diff().splitlines()[2:] == (
            [] if report.same else ["@@ -1 +1 @@", f"-{LOCAL}", f"+{said}"]
        )
        assert world.value("llm_rollout_shadows_total", result=result) == 1
        assert world.value("llm_rollout_calls_total", path="orchestrator", code="OK") == 0


async def test_a_copy_has_no_tools_no_grants_and_a_conversation_of_its_own(
    orchestrator: ScriptedOrchestrator, shadowed: Path
) -> None:
    request = request_of(
        conversation_id="c1", request_id="r1", permission_grants=GRANTS, allowed_tools=["send_mail"]
    )
    async with rolled_out(orchestrator.address, shadowed) as world:
        await world.ask(request)
        await world.rollout.shadow.settled()
    [copy] = orchestrator.requests
    assert copy.allowed_tools == ["none"]
    assert not copy.HasField("permission_grants")
    assert copy.conversation_id.startswith("shadow-")
    assert copy.request_id not in ("", "r1")
    assert [deleted.conversation_id for deleted in orchestrator.deleted] == [copy.conversation_id]


async def test_an_orchestrator_that_fails_is_the_shadows_affair(
    orchestrator: ScriptedOrchestrator, shadowed: Path
) -> None:
    internal = grpc.StatusCode.INTERNAL
    orchestrator.play = Play([failure(1, internal, "INTERNAL")], internal, "INTERNAL")
    async with rolled_out(orchestrator.address, shadowed) as world:
        assert (await world.ask()).text == LOCAL
        await world.rollout.shadow.settled()
        assert world.value("llm_rollout_shadows_total", result="failed") == 1
        assert world.reports[0].orchestrator.error == "INTERNAL"


async def test_more_copies_than_allowed_are_skipped(
    orchestrator: ScriptedOrchestrator, shadowed: Path
) -> None:
    orchestrator.play = Play([status()], hold=True)
    settings = RolloutSettings(shadow=ShadowSettings(most=2))
    async with rolled_out(orchestrator.address, shadowed, settings=settings) as world:
        for _ in range(5):
            assert (await world.ask()).text == LOCAL
        assert world.value("llm_rollout_shadows_total", result="skipped") == 3


async def test_an_answer_that_its_caller_leaves_is_not_compared(
    orchestrator: ScriptedOrchestrator, shadowed: Path
) -> None:
    orchestrator.play = Play([complete(1)])
    async with rolled_out(orchestrator.address, shadowed) as world:
        async with aclosing(world.rollout.router.stream_chat(request_of(), world.local)) as events:
            await anext(events)
        await world.rollout.shadow.settled()
        assert world.reports == []


async def test_who_goes_to_the_orchestrator_has_no_shadow(
    orchestrator: ScriptedOrchestrator, tmp_path: Path
) -> None:
    file = flags_on(tmp_path / "flags.json", 100, SHADOW_PERCENTAGE=100)
    orchestrator.play = Play([complete(1)])
    async with rolled_out(orchestrator.address, file) as world:
        await world.ask()
        await world.rollout.shadow.settled()
    assert len(orchestrator.requests) == 1


async def test_a_shadow_of_an_agent_that_writes_writes_nothing(
    dsn: str, provider: ScriptedProvider, shadowed: Path
) -> None:
    provider.default = ADDS_MILK  # whoever is asked wants to write
    request = request_of(query="Note: buy milk.", agent_type="org_inbox", permission_grants=GRANTS)
    async with (
        FakeToolService() as backend,
        tooled(dsn, provider, backend) as service,
        rolled_out(f"127.0.0.1:{service.port}", shadowed) as world,
    ):
        assert (await world.ask(request)).text == LOCAL
        await world.rollout.shadow.settled()
        assert provider.ledger  # it was asked,
        assert not any(call.body.get("tools") for call in provider.ledger)  # and offered nothing,
        assert backend.ledger.calls == []  # so that it did nothing
        assert len(world.reports) == 1
        # The same request without its shadow's clothes does write: the test can fail.
        world.set(Flag.PERCENTAGE, 100)
        provider.enqueue(ADDS_MILK, Script(tokens=("Done",)))
        await world.ask(request)
        assert [call.method for call in backend.ledger.calls if call.effect] == ["AddOrgInboxItem"]
