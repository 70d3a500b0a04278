"""A run that stops for a person: all of it or nothing, once."""

from dataclasses import replace

import pytest

from state.errors import CancelledRunError, LostAttemptError
from state.models import Attempt, Owner, Record, RunKind, RunState
from state.permissions import PermissionFilter, PermissionState
from state.usage import Usage
from tests.harness.questions import DENIED, HOUR, Desk, question, replaced
from tests.harness.runs import ANN, SUCCEEDED, last, new_run, records

ROW = "SELECT (survives, replica_id IS NULL, tries, attempt)::text FROM orchestrator.runs"


async def test_questions_records_and_state_are_committed_together(desk: Desk) -> None:
    attempt, (asked,) = await desk.waiting()
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    assert [sequence for sequence, _, _ in await desk.log(attempt)] == [1, 2, 3]
    permission = await desk.permissions.get(ANN, asked.permission_id)
    assert (permission.question, permission.run_id) == (asked, attempt.run_id)
    assert permission.state is PermissionState.PENDING
    assert (permission.expire_time - permission.create_time).total_seconds() == HOUR


async def test_who_waits_survives_its_replica_and_spends_no_attempt(desk: Desk) -> None:
    await desk.waiting()
    assert await desk.value(ROW) == "(t,t,0,1)"


async def test_what_was_used_until_then_is_kept(desk: Desk) -> None:
    _, attempt = await desk.begun()
    await desk.suspension.suspend(attempt, [question()], HOUR, records(2), Usage(tool_calls=3))
    used = await desk.value("SELECT usage ->> 'tool_calls' FROM orchestrator.runs")
    assert used == "3"


async def test_a_suspension_may_be_written_again_when_its_answer_was_lost(desk: Desk) -> None:
    attempt, asked = await desk.waiting()
    await desk.suspension.suspend(attempt, asked, HOUR, records(2, 3))
    await desk.decide(asked[0], DENIED)
    await desk.suspension.suspend(attempt, asked, HOUR, records(2, 3))
    assert await desk.state(attempt) is RunState.QUEUED
    await desk.claimed()
    await desk.suspension.suspend(attempt, asked, HOUR, records(2, 3))
    assert await desk.state(attempt) is RunState.RUNNING


async def test_another_attempt_can_stop_nothing(desk: Desk) -> None:
    _, attempt = await desk.begun()
    for stale in (Attempt(ANN, attempt.run_id, 0), replace(attempt, owner=Owner("bob"))):
        with pytest.raises(LostAttemptError):
            await desk.suspension.suspend(stale, [question()], HOUR, records(2))
    await desk.runs.finish(attempt, SUCCEEDED, last(2))
    with pytest.raises(LostAttemptError):
        await desk.suspension.suspend(attempt, [question()], HOUR, [Record(2, b"asked")])
    assert await desk.value("SELECT count(*) FROM orchestrator.permissions") == 0


async def test_a_run_that_is_being_cancelled_asks_nothing_more(desk: Desk) -> None:
    _, attempt = await desk.begun()
    await desk.runs.cancel(ANN, attempt.run_id, replaced)
    with pytest.raises(CancelledRunError):
        await desk.suspension.suspend(attempt, [question()], HOUR, records(2))
    assert await desk.value("SELECT count(*) FROM orchestrator.permissions") == 0
    assert len(await desk.log(attempt)) == 1


async def test_a_run_that_asks_what_was_decided_goes_back_to_the_line(desk: Desk) -> None:
    """Its process died between the decision and the checkpoint that takes it in."""
    attempt, asked = await desk.waiting()
    await desk.decide(asked[0], DENIED)
    again = await desk.claimed()
    await desk.suspension.suspend(again, asked, HOUR, records(5, 6))
    assert await desk.state(attempt) is RunState.QUEUED
    assert (await desk.permissions.get(ANN, asked[0].permission_id)).state is PermissionState.DENIED


async def test_a_waiting_chat_lets_the_next_turn_in_and_a_waiting_task_does_not(desk: Desk) -> None:
    chat, _ = await desk.waiting(conversation="c1")
    await desk.runs.begin(new_run(ANN, "c1"), records(1))
    await desk.waiting(kind=RunKind.TASK, conversation="c2")
    with pytest.raises(Exception, match="another run"):
        await desk.runs.begin(new_run(ANN, "c2"), records(1))
    assert await desk.state(chat) is RunState.WAITING_FOR_PERMISSION


async def test_whatever_ends_a_run_cancels_its_questions(desk: Desk) -> None:
    attempt, asked = await desk.waiting(question(), question())
    await desk.runs.cancel(ANN, attempt.run_id, replaced)
    for one in asked:
        assert (await desk.permissions.get(ANN, one.permission_id)).state is PermissionState.CANCELLED
    assert await desk.log(attempt) == [
        *[(n, f"chunk {n}".encode(), False) for n in (1, 2, 3)],
        (4, b"replaced", True),
    ]
    assert not await desk.permissions.list(ANN, PermissionFilter(), after=None, limit=10)
