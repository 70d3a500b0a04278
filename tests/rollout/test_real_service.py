"""The router in front of the whole service: who answers, and what becomes of a run that was abandoned."""

from pathlib import Path

import pytest

from llm_orchestrator_client.errors import DeadlineError
from llm_orchestrator_client.payloads import ToolCall
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.router import RouterSettings
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import MILK, tooled, wish, wishing
from tests.rollout.rolling import LOCAL, World, request_of, rolled_out

HASTY = RolloutSettings(router=RouterSettings(first_byte_seconds=1.5))
WHOLE = RolloutSettings(router=RouterSettings(deadline_share=1.0))
SILENT = Script(hold_after=0)
FAILING = {
    "a provider without room": Script(status=429, retry_after=30),
    "a provider that is down": Script(status=503),
    "a provider that says nothing": SILENT,
}


async def answered_once(world: World) -> str:
    """Ask; the run that the local path took over."""
    answered = await world.ask()
    assert (answered.text, answered.ends, answered.error) == (LOCAL, 1, None)
    return next((event.run_id for event in answered.events if event.run_id), "")


async def test_the_orchestrator_answers_and_nobody_else(service: Service, everybody: Path) -> None:
    async with rolled_out(f"127.0.0.1:{service.port}", everybody) as world:
        answered = await world.ask(request_of(query="echo"))
        assert answered.error is None
        assert (answered.ends, world.local_calls, len(service.provider.ledger)) == (1, 0, 1)
        assert answered.text not in ("", LOCAL)


@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
async def test_the_local_path_answers_for(service: Service, everybody: Path, script: Script) -> None:
    service.provider.default = script
    async with rolled_out(f"127.0.0.1:{service.port}", everybody, settings=HASTY) as world:
        run_id = await answered_once(world)
        await world.rollout.router.settled()
        if run_id:
            assert await service.run_ended(run_id) in ("cancelled", "failed")


async def test_after_an_effect_nobody_else_answers(
    dsn: str, provider: ScriptedProvider, everybody: Path
) -> None:
    provider.enqueue(wishing(wish("add_org_inbox_item", MILK)), SILENT)
    request = request_of(
        query="Note: buy milk.",
        agent_type="org_inbox",
        permission_grants=pb.PermissionGrants(file_write_permission=True),
    )
    async with (
        FakeToolService() as backend,
        tooled(dsn, provider, backend) as service,
        rolled_out(f"127.0.0.1:{service.port}", everybody, settings=WHOLE) as world,
    ):
        answered = await world.ask(request, seconds=4.0)
        assert isinstance(answered.error, DeadlineError)
        assert [event.read_only for event in answered.events if isinstance(event, ToolCall)] == [False]
        assert world.local_calls == 0
        assert [call.effect for call in backend.ledger.calls] == [True]
