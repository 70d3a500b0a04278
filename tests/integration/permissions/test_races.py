"""Who decides in the same moment as somebody else: one of them does, and the run goes on once or never."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import pytest

from state.effects import EffectState
from state.errors import ConversationBusyError, NotPermittedError, OrchestratorError, WrongStateError
from state.models import Attempt, ConversationId, RunState
from state.permissions import Answer, Decision, PermissionState, Question
from tests.harness.questions import APPROVED, DENIED, NOBODYS, Desk, question, replaced
from tests.harness.runs import ANN, CANCELLED, SUCCEEDED, last, new_run, records
from tests.harness.scale import scaled

Step = Callable[[Desk, Attempt, Question], Coroutine[Any, Any, object]]
TRIES = scaled(100)
pytestmark = pytest.mark.timeout(600)

STANDS = """
SELECT p.state AS permission, r.state AS run, r.attempt,
    (SELECT count(*) FROM permission_audit a WHERE a.permission_id = p.permission_id) - 1 AS decided,
    (SELECT count(*) FROM outbox o WHERE o.run_id = r.run_id AND type = 'run.queued') AS queued,
    (SELECT array_agg(sequence ORDER BY sequence) FROM run_events e WHERE e.run_id = r.run_id) AS sequences,
    (SELECT count(*) FROM run_events e WHERE e.run_id = r.run_id AND terminal) AS ends
FROM permissions p JOIN runs r USING (run_id) WHERE p.permission_id = $1
"""


def approves(decided_by: str) -> Step:
    return lambda desk, _, asked: desk.decide(asked, replace(APPROVED, decided_by=decided_by))


def denies(desk: Desk, attempt: Attempt, asked: Question) -> Coroutine[Any, Any, object]:
    del attempt
    return desk.decide(asked, DENIED)


async def cancels(desk: Desk, attempt: Attempt, asked: Question) -> None:
    del asked
    await desk.runs.cancel(ANN, attempt.run_id, replaced)


async def expires(desk: Desk, attempt: Attempt, asked: Question) -> None:
    del attempt
    await desk.let_expire(asked)
    await desk.settle()


async def speaks_on(desk: Desk, attempt: Attempt, asked: Question) -> None:
    """A newer turn of the conversation, which ends at once."""
    del asked
    newer = await desk.runs.begin(new_run(conversation=f"of {attempt.run_id}"), records(1))
    await desk.runs.finish(newer, SUCCEEDED, last(2))


RACES: dict[str, tuple[Step, Step]] = {
    "approve": (approves("ann"), approves("bob")),
    "deny": (approves("ann"), denies),
    "cancel": (approves("ann"), cancels),
    "expiry": (approves("ann"), expires),
    "a newer turn": (approves("ann"), speaks_on),
}
BESIDE: dict[str, PermissionState] = {
    "approve": PermissionState.APPROVED,
    "deny": PermissionState.DENIED,
    "cancel": PermissionState.CANCELLED,
    "expiry": PermissionState.EXPIRED,
    "a newer turn": PermissionState.PENDING,
}


async def outcome(step: Awaitable[object]) -> object:
    try:
        return await step
    except OrchestratorError as error:
        return error


async def asked_in_a_named_conversation(desk: Desk) -> tuple[Attempt, Question]:
    run = new_run()
    named = replace(run, conversation_id=ConversationId(f"of {run.run_id}"), wants=NOBODYS)
    attempt, asked = await desk.runs.begin(named, records(1)), question()
    await desk.suspension.suspend(attempt, [asked], 3600.0, records(2))
    return attempt, asked


@pytest.mark.parametrize("name", RACES)
async def test_of_two_who_decide_at_once_one_does(desk: Desk, name: str) -> None:
    seen = Counter[str]()
    for number in range(TRIES):
        attempt, asked = await asked_in_a_named_conversation(desk)
        steps = [step(desk, attempt, asked) for step in RACES[name]]
        if number % 2:
            steps.reverse()
        if number % 10 < 2:  # one after the other: so each of the two wins at times
            results = [await outcome(step) for step in steps]
        else:
            results = await asyncio.gather(*map(outcome, steps))
        if name == "expiry":
            await desk.settle()  # the first time the decider may have had the run
        async with desk.database.connection() as connection:
            row = await connection.fetchrow(STANDS, UUID(asked.permission_id))
        assert row is not None
        state, went_on = PermissionState(row["permission"]), row["queued"] == 1
        seen[state] += 1
        assert state in (PermissionState.APPROVED, BESIDE[name])
        if number % 10 < 2:
            assert state is (BESIDE[name] if number % 2 else PermissionState.APPROVED)
        _one_has_decided(name, state, results)
        assert row["decided"] == (state is not PermissionState.PENDING)
        assert row["queued"] <= 1
        assert row["sequences"] == list(range(1, len(row["sequences"]) + 1))
        assert row["ends"] == (row["run"] == RunState.CANCELLED)
        assert went_on == (
            state in (PermissionState.APPROVED, PermissionState.DENIED, PermissionState.EXPIRED)
        )
        await _at_most_one_effect(desk, attempt, asked, state, row["run"])
    assert sum(seen.values()) == TRIES
    assert set(seen) == {PermissionState.APPROVED, BESIDE[name]}


def _one_has_decided(name: str, state: PermissionState, results: Sequence[object]) -> None:
    refusals = [result for result in results if isinstance(result, OrchestratorError)]
    assert all(isinstance(one, WrongStateError | ConversationBusyError) for one in refusals)
    if name == "a newer turn":
        assert len(refusals) == 1
    first = [result for result in results if isinstance(result, tuple) and not result[1]]
    assert len(first) == (state in (PermissionState.APPROVED, PermissionState.DENIED))


async def _at_most_one_effect(
    desk: Desk, attempt: Attempt, asked: Question, state: PermissionState, run: str
) -> None:
    """Two that wake up in the same attempt: the call is made once, if it was approved."""
    if run != RunState.QUEUED:
        return
    now = await desk.claimed()
    assert now.run_id == attempt.run_id
    begins = [outcome(desk.effects.begin(who, desk.call(asked))) for who in (attempt, now, now)]
    stale, *both = await asyncio.gather(*begins)
    assert isinstance(stale, OrchestratorError)
    if state is PermissionState.APPROVED:
        assert sorted(one.state for one in both) == [EffectState.BEGUN, EffectState.CUT]  # type: ignore[attr-defined]
    else:
        assert all(isinstance(one, NotPermittedError) for one in both)
    await desk.runs.cancel(ANN, now.run_id, replaced)
    await desk.runs.finish(now, CANCELLED, last(len(await desk.log(now)) + 1))


async def test_who_decides_the_last_of_many_at_once_puts_the_run_back_once(desk: Desk) -> None:
    random = Random(11)
    for _ in range(scaled(20)):
        attempt, asked = await desk.waiting(*[question() for _ in range(5)])
        answers = [Answer(random.choice([Decision.APPROVED, Decision.DENIED]), "ann") for _ in asked]
        twice = [*zip(asked, answers, strict=True)] * 2
        random.shuffle(twice)
        results = await asyncio.gather(*(desk.decide(one, answer) for one, answer in twice))
        assert sum(not already for _, already in results) == len(asked)
        assert await desk.state(attempt) is RunState.QUEUED
        queued = await desk.value(
            "SELECT count(*) FROM outbox WHERE type = 'run.queued' AND run_id = $1", UUID(attempt.run_id)
        )
        assert queued == 1
        assert [sequence for sequence, _, _ in await desk.log(attempt)] == list(range(1, 9))
