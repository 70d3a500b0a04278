"""A question of a remote is a question here: what the person says to it is said there, and only that."""

import pytest

from protos import orchestrator_pb2 as pb
from state.models import ConversationId, Owner
from state.threads import thread_id
from tests.fakes.orchestrator.play import WAITS, Play, asked, called, done, failed, text
from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.harness.service import Service
from tests.harness.statuses import error_info
from tests.harness.tooled import decide, kinds, pending, rest
from tests.integration.remote.places import ask, refused, standing
from tests.integration.tasks.asking import start
from tests.integration.tasks.tables import connected

DIGEST = "b7e4ed1a3ca0fb9a0f1d3a8f2a3e0bd0"
YES = (called("t1", "write_file"), text(" Written.", 1), done("I want. Written."))
NO = (text(" Not written.", 1), done("I want. Not written."))
ASKS = Play([text("I want."), asked(), WAITS], approved=YES, denied=NO)


@pytest.mark.parametrize(
    ("decision", "end"), [("approved", "I want. Written."), ("denied", "I want. Not written.")]
)
async def test_what_the_person_says_is_passed_on(
    here: Service, farm: FakeOrchestrator, decision: str, end: str
) -> None:
    farm.plays.append(ASKS)
    chunks = await ask(here)
    assert chunks[-1].metadata["task_status"] == "permission_required"
    [permission] = await pending(here)
    assert (permission.tool_name, permission.operation_type) == ("farm:write_file", "file_write")
    assert dict(permission.arguments) == {"path": "a.txt", "count": 2}
    assert permission.query == "hello"
    assert list(permission.allowed_scopes) == [pb.PERMISSION_SCOPE_ONCE]
    assert not farm.approvals
    await decide(here, permission, decision, reason="as I say")
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    log = await rest(here, chunks[0].run_id)
    assert standing(log) == log[-1].complete.final_text == end
    [told] = farm.approvals
    assert (told.permission_id, told.approval_decision, told.reason) == ("p1", decision, "as I say")
    assert told.user_id == "ann"
    assert len(farm.runs) == 1
    assert kinds(log).count("permission_requested") == kinds(log).count("permission_resolved") == 1


async def test_two_questions_are_decided_each_for_itself(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([asked("p1"), asked("p2"), WAITS], approved=[text("Yes.")], denied=[done("Yes.")]))
    chunks = await ask(here)
    one, two = sorted(await pending(here), key=lambda p: p.permission_id)
    await decide(here, one)
    assert not farm.approvals
    await decide(here, two, "denied")
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    assert {(told.permission_id, told.approval_decision) for told in farm.approvals} in (
        {("p1", "approved"), ("p2", "denied")},
        {("p1", "denied"), ("p2", "approved")},
    )


async def test_a_second_question_is_asked_after_the_first(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([asked("p1"), WAITS], approved=[asked("p2"), WAITS], denied=[done("No more.")]))
    chunks = await ask(here)
    [first] = await pending(here)
    await decide(here, first)
    await farm.until(lambda: len(farm.approvals) == 1)
    await here.run_is(chunks[0].run_id, "waiting_for_permission", within=10)
    [second] = await pending(here)
    assert second.permission_id != first.permission_id
    await decide(here, second, "denied")
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    assert [told.permission_id for told in farm.approvals] == ["p1", "p2"]


async def test_a_question_that_expires_here_is_denied_there(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(ASKS)
    options = pb.RunOptions()
    options.permission_timeout.FromMilliseconds(200)
    chunks = await ask(here, run_options=options)
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    assert [told.approval_decision for told in farm.approvals] == ["denied"]
    assert farm.runs[0].request.run_options.permission_timeout.ToMilliseconds() == 200


async def test_what_was_used_before_a_question_is_not_counted_again(
    here: Service, farm: FakeOrchestrator
) -> None:
    early = pb.ChatChunk.FromString(WAITS.SerializeToString())
    early.usage.CopyFrom(done().usage)
    farm.plays.append(Play([asked(), early], approved=[text("Yes."), done("Yes.")]))
    chunks = await ask(here)
    [permission] = await pending(here)
    await decide(here, permission)
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    usage = (await rest(here, chunks[0].run_id))[-1].usage
    assert (usage.input_tokens, usage.model_calls) == (7, 2)


async def test_a_decision_that_comes_too_late_there_changes_nothing(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(ASKS)
    farm.too_late = True
    chunks = await ask(here)
    await farm.add(farm.runs[0], *NO)
    [permission] = await pending(here)
    await decide(here, permission)
    assert await here.run_ended(chunks[0].run_id, within=10) == "succeeded"
    assert standing(await rest(here, chunks[0].run_id)) == "I want. Not written."


async def test_nobody_is_asked_about_other_arguments_than_their_digest_is_of(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([asked(digest=DIGEST), WAITS]))
    _, error = await refused(here)
    assert error_info(error).reason == "PROVIDER_BROKEN"
    assert not await pending(here)


async def test_a_grant_of_the_caller_allows_nothing_there(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(ASKS)
    await ask(here, permission_grants=pb.PermissionGrants(file_write_permission=True))
    assert not farm.runs[0].request.permission_grants.file_write_permission
    assert len(await pending(here)) == 1


async def test_a_run_that_is_cancelled_while_it_waits_is_cancelled_there(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(ASKS)
    chunks = await ask(here)
    await here.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=chunks[0].run_id))
    assert farm.cancelled == [farm.runs[0].request.request_id]
    assert not await pending(here)


async def test_a_run_that_is_cancelled_is_cancelled_there(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([text("I dig")]))
    task = await start(here, agent_type="farm")
    await farm.until(lambda: farm.runs)
    await here.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert await here.run_ended(task.task_id, within=10) == "cancelled"
    await farm.until(lambda: farm.cancelled)
    assert farm.cancelled == [task.task_id]


async def test_a_caller_who_leaves_takes_the_run_there_along(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([text("I dig")]))
    call = here.stub.StreamChat(pb.ChatRequest(user_id="ann", query="hello", agent_type="farm"))
    await anext(aiter(call))
    await farm.until(lambda: farm.runs)
    call.cancel()
    await farm.until(lambda: farm.cancelled)


async def test_a_run_that_failed_there_is_begun_anew_by_the_next_attempt_of_a_task(
    here: Service, farm: FakeOrchestrator
) -> None:
    error = pb.ChatChunk(error=failed(14, "PROVIDER_UNAVAILABLE"), usage=done().usage)
    farm.plays.extend(
        [Play([text("Old."), called("t1"), text("x", 1), error]), Play([text("New."), done("New.")])]
    )
    task = await start(here, agent_type="farm")
    assert await here.run_ended(task.task_id, within=20) == "succeeded"
    log = await rest(here, task.task_id)
    assert standing(log) == log[-1].complete.final_text == "New."
    assert [run.request.request_id for run in farm.runs] == [task.task_id, f"{task.task_id}-1"]
    assert log[-1].usage.input_tokens == 14


async def test_who_is_saturated_there_waits_in_the_line_here(here: Service, farm: FakeOrchestrator) -> None:
    full = Play(refused=failed(8, "PROVIDER_SATURATED", retry_seconds=1))
    farm.plays.extend([full, Play([text("Now."), done("Now.")])])
    chunks = await ask(here)
    assert standing(chunks) == "Now."
    assert farm.streams == ["StreamChat"] * 2


async def test_what_came_from_there_is_untrusted_when_the_conversation_goes_on(
    dsn: str, here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text("Trust me."), done("Trust me.")]))
    await ask(here, conversation_id="c1")
    async with connected(dsn) as connection:
        thread = thread_id(Owner("ann"), ConversationId("c1"))
        kept = await connection.fetch(
            "SELECT * FROM orchestrator.checkpoint_blobs WHERE thread_id = $1", thread
        )
    assert any(
        b"untrusted" in bytes(value) for row in kept for value in row.values() if isinstance(value, bytes)
    )
