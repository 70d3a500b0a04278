"""An agent that tells its plan: readers see plans, not calls, and a bad one is told to the model alone."""

import pytest
from google.protobuf import json_format

from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import shipped
from tests.harness.service import Service, text_of
from tests.harness.tooled import DONE, kinds, rest, told, wish, wishing
from tests.integration.tasks.asking import ended, start

STEPS = [{"text": "Find the claims", "state": "in_progress"}, {"text": "Check them", "state": "pending"}]
LATER = [{"text": "Find the claims", "state": "done"}, {"text": "Check them", "state": "in_progress"}]


async def test_calls_of_the_planning_tool_are_plans_of_the_log_each_whole(
    service: Service, backend: FakeToolService
) -> None:
    plans = [wish("update_plan", {"steps": steps}) for steps in (STEPS, LATER)]
    service.provider.enqueue(wishing(plans[0], text="Let me plan."), wishing(plans[1]), DONE)
    chunks = await service.chat("is it so?", agent_type="fact_checking")
    assert kinds(chunks) == ["status", "agent_update", "content", "plan", "content", "complete"]
    shown = [json_format.MessageToDict(c.plan.plan) for c in chunks if c.HasField("plan")]
    assert shown == [{"steps": STEPS}, {"steps": LATER}]
    assert told(service.provider, 3)[0].splitlines()[1] == "Noted: 1 in_progress, 1 pending."
    assert (list(chunks[-1].tools_used), chunks[-1].usage.tool_calls) == ([], 0)
    assert backend.ledger.calls == []
    assert kinds(await rest(service, chunks[0].run_id)) == kinds(chunks)


@pytest.mark.parametrize("arguments", [{"steps": []}, {"steps": [{"text": "x", "state": "perhaps"}]}, {}])
async def test_a_plan_that_is_none_is_refused_and_shown_to_nobody(
    service: Service, arguments: dict[str, object]
) -> None:
    service.provider.enqueue(wishing(wish("update_plan", arguments)), DONE)
    chunks = await service.chat("is it so?", agent_type="fact_checking")
    assert kinds(chunks) == ["status", "agent_update", "tool_result", "content", "complete"]
    assert not chunks[3].tool_result.ok or "schema" in told(service.provider, 2)[0]


async def test_text_before_a_plan_is_not_said_again_when_the_run_goes_back_to_the_line(
    service: Service,
) -> None:
    plan = wish("update_plan", {"steps": STEPS})
    service.provider.enqueue(wishing(plan, text="Let me plan."), Script(status=503), DONE)
    task = await start(service, "is it so?", agent_type="fact_checking")
    done = await ended(service, task.task_id)
    assert (done.result, done.deferrals) == ("Let me plan.\n\nDone.", 1)
    log = await rest(service, task.task_id)
    assert (text_of(log), "reset" in kinds(log)) == ("Let me plan.\n\nDone.", False)


async def test_who_may_use_no_tool_plans_with_none(service: Service) -> None:
    service.provider.enqueue(DONE)
    await service.chat("is it so?", agent_type="fact_checking", allowed_tools=["none"])
    assert "tools" not in service.provider.ledger[0].body


def test_agents_with_work_of_many_steps_plan() -> None:
    planning = {spec.name for spec in shipped().specs if "update_plan" in spec.tools}
    assert planning >= {"website_crawler", "site_crawl", "fact_checking", "report_formatting"}
