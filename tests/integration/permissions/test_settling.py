"""Questions that nobody answers, and chats that a newer turn has replaced."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from state.models import RunKind, RunState
from state.permissions import PermissionFilter, PermissionState
from state.postgres.settling import Settling
from tests.harness.questions import APPROVED, Desk, question, replaced, resolved
from tests.harness.runs import ANN, SUCCEEDED, last, new_run, records


async def state_of(desk: Desk, permission_id: str) -> PermissionState:
    return (await desk.permissions.get(ANN, permission_id)).state


async def test_what_is_due_expires_and_its_run_goes_on(desk: Desk) -> None:
    attempt, (asked,) = await desk.waiting()
    assert await desk.settle() == 0
    await desk.let_expire(asked)
    assert await state_of(desk, asked.permission_id) is PermissionState.EXPIRED  # before anybody wrote it
    assert await desk.settle() == 1
    assert await desk.state(attempt) is RunState.QUEUED
    assert (await desk.log(attempt))[3:] == [(4, f"{asked.permission_id} expired chat".encode(), False)]
    found = await desk.permissions.decided(ANN, attempt.run_id, [asked.permission_id])
    assert found[asked.permission_id].state is PermissionState.EXPIRED
    assert await desk.settle() == 0


async def test_a_run_waits_on_for_what_is_not_due(desk: Desk) -> None:
    attempt, (due, other) = await desk.waiting(question(), question())
    await desk.let_expire(due)
    assert await desk.settle() == 1
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    await desk.decide(other)
    assert await desk.state(attempt) is RunState.QUEUED


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("due", [True, False])
async def test_a_chat_that_a_newer_turn_has_replaced_is_cancelled(desk: Desk, ended: bool, due: bool) -> None:
    attempt, (asked,) = await desk.waiting(conversation="c1")
    newer = await desk.runs.begin(new_run(ANN, "c1"), records(1))
    if ended:
        await desk.runs.finish(newer, SUCCEEDED, last(2))
    if due:
        await desk.let_expire(asked)
    assert not await desk.permissions.list(ANN, PermissionFilter(), after=None, limit=10)
    assert await desk.settle() == 1
    assert await desk.state(attempt) is RunState.CANCELLED
    assert (await desk.log(attempt))[3:] == [(4, b"replaced", True)]
    assert await state_of(desk, asked.permission_id) is PermissionState.CANCELLED


async def test_a_task_that_waits_is_replaced_by_nothing(desk: Desk) -> None:
    attempt, _ = await desk.waiting(kind=RunKind.TASK)
    assert await desk.settle() == 0
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION


async def test_more_than_a_batch_is_settled_and_every_chat_is_looked_at(desk: Desk) -> None:
    settling = Settling(desk.database, batch=2)
    due = [(await desk.waiting())[1][0] for _ in range(5)]
    for asked in due:
        await desk.let_expire(asked)
    assert await settling.settle(resolved, replaced) == 5
    waiting = [(await desk.waiting(conversation=f"c{n}"))[0] for n in range(5)]
    newest = max(waiting, key=lambda attempt: attempt.run_id)
    number = waiting.index(newest)
    await desk.runs.begin(new_run(ANN, f"c{number}"), records(1))
    assert [await settling.settle(resolved, replaced) for _ in range(4)].count(1) == 1
    assert await desk.state(newest) is RunState.CANCELLED


async def test_what_somebody_else_has_locked_is_left_for_the_next_time(desk: Desk, dsn: str) -> None:
    attempt, (asked,) = await desk.waiting()
    await desk.let_expire(asked)
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute(
            "SELECT FROM orchestrator.runs WHERE run_id = $1 FOR UPDATE", UUID(attempt.run_id)
        )
        assert await desk.settle() == 0
    await other.close()
    assert await desk.settle() == 1


async def test_who_begins_while_a_decision_is_committed_does_so_after_or_instead(desk: Desk) -> None:
    """The newer turn commits in the very moment in which the decision wants the conversation back."""
    attempt, (asked,) = await desk.waiting(conversation="c1")
    async with desk.database.connection() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request, start_time)"
            " VALUES (gen_random_uuid(), 'ann', 'chat', 'c1', 'chat', 'running', '', now())"
        )
        deciding = asyncio.create_task(desk.decide(asked, APPROVED))
        async with asyncio.timeout(5):
            while not await connection.fetchval(  # noqa: ASYNC110 - Postgres tells nobody
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    with pytest.raises(Exception, match="a newer turn has replaced"):
        await deciding
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    assert len(await desk.log(attempt)) == 3
    assert await desk.settle() == 1
    assert await desk.state(attempt) is RunState.CANCELLED
