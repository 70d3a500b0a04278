"""The journal of effects: none is begun twice, and none that nobody allowed."""

from dataclasses import replace
from uuid import uuid4

import pytest

from state.effects import Effect, EffectState, NewEffect
from state.errors import CancelledRunError, LostAttemptError, NotPermittedError
from state.models import Attempt, Owner
from state.permissions import Answer, PermissionScope, Question
from tests.harness.questions import APPROVED, DENIED, HOUR, REVOKED, Desk, digest_of, question, replaced
from tests.harness.runs import ANN, SUCCEEDED, last, records

BEGUN, CUT = Effect(EffectState.BEGUN), Effect(EffectState.CUT)
OTHER = digest_of(b"other")


def unasked() -> NewEffect:
    return NewEffect(uuid4().hex, "write_file", digest_of(b"{}"))


async def resumed(desk: Desk, asked: Question, answer: Answer = APPROVED) -> Attempt:
    """A run in its second attempt, with this answer."""
    await desk.waiting(asked)
    await desk.decide(asked, answer)
    return await desk.claimed()


async def again(desk: Desk, attempt: Attempt) -> Attempt:
    """The next attempt: its process has died."""
    await desk.runs.requeue(attempt)
    return await desk.claimed()


async def test_a_call_is_begun_once_and_its_outcome_kept(desk: Desk) -> None:
    _, attempt = await desk.begun()
    effect = unasked()
    assert await desk.effects.begin(attempt, effect) == BEGUN
    assert await desk.effects.begin(attempt, effect) == CUT
    await desk.effects.finish(attempt, effect.tool_call_id, b"written")
    done = Effect(EffectState.DONE, b"written")
    assert await desk.effects.begin(attempt, effect) == done
    await desk.effects.finish(attempt, effect.tool_call_id, b"something else")
    assert await desk.effects.begin(await again(desk, attempt), effect) == done


async def test_a_call_that_was_cut_is_begun_again_by_a_further_permission_alone(desk: Desk) -> None:
    first = question()
    attempt = await resumed(desk, first)
    assert await desk.effects.begin(attempt, desk.call(first)) == BEGUN
    attempt = await again(desk, attempt)
    assert await desk.effects.begin(attempt, desk.call(first)) == CUT
    second = replace(first, permission_id=uuid4().hex)
    await desk.suspension.suspend(attempt, [second], HOUR, records(5))
    await desk.decide(second)
    attempt = await desk.claimed()
    assert await desk.effects.begin(attempt, desk.call(first)) == CUT
    assert await desk.effects.begin(attempt, desk.call(second)) == BEGUN
    for used in (first, second):
        assert await desk.effects.begin(attempt, desk.call(used)) == CUT
    await desk.effects.finish(attempt, first.tool_call_id, b"done")
    assert await desk.effects.begin(attempt, desk.call(second)) == Effect(EffectState.DONE, b"done")


@pytest.mark.parametrize(
    "wrong",
    [
        {"digest": OTHER},
        {"permission_id": "0" * 32},
        {"permission_id": ""},
        {"tool_call_id": "0" * 32},
    ],
)
async def test_a_call_that_is_not_what_was_approved_is_not_begun(desk: Desk, wrong: dict[str, str]) -> None:
    asked = question()
    attempt = await resumed(desk, asked)
    with pytest.raises(NotPermittedError):
        await desk.effects.begin(attempt, replace(desk.call(asked), **wrong))
    assert await desk.effects.begin(attempt, desk.call(asked)) == BEGUN


async def test_edited_arguments_are_the_only_ones_that_may_be_executed(desk: Desk) -> None:
    asked, edited = question(), b'{"path":"b.txt"}'
    answer = replace(APPROVED, edited=edited, edited_digest=digest_of(edited))
    attempt = await resumed(desk, asked, answer)
    with pytest.raises(NotPermittedError):
        await desk.effects.begin(attempt, desk.call(asked))
    effect = replace(desk.call(asked), digest=answer.edited_digest)
    assert await desk.effects.begin(attempt, effect) == BEGUN


async def test_what_was_denied_has_expired_or_was_taken_back_is_not_begun(desk: Desk) -> None:
    denied, expired, revoked = question(), question(), question()
    await desk.waiting(denied, expired, revoked)
    await desk.decide(denied, DENIED)
    await desk.decide(revoked, replace(APPROVED, scope=PermissionScope.RUN))
    await desk.decide(revoked, REVOKED)
    await desk.let_expire(expired)
    await desk.settle()
    attempt = await desk.claimed()
    for asked in (denied, expired, revoked):
        with pytest.raises(NotPermittedError):
            await desk.effects.begin(attempt, desk.call(asked))


async def test_only_the_attempt_that_owns_the_run_begins_and_finishes(desk: Desk) -> None:
    _, attempt = await desk.begun()
    effect = unasked()
    await desk.effects.begin(attempt, effect)
    now = await again(desk, attempt)
    for stale in (attempt, replace(now, owner=Owner("bob"))):
        with pytest.raises(LostAttemptError):
            await desk.effects.begin(stale, unasked())
        with pytest.raises(LostAttemptError):
            await desk.effects.finish(stale, effect.tool_call_id, b"late")
    assert await desk.effects.begin(now, effect) == CUT
    await desk.runs.finish(now, SUCCEEDED, last(2))
    with pytest.raises(LostAttemptError):
        await desk.effects.begin(now, effect)


async def test_a_run_that_is_being_cancelled_begins_nothing_and_may_finish(desk: Desk) -> None:
    _, attempt = await desk.begun()
    effect = unasked()
    await desk.effects.begin(attempt, effect)
    await desk.runs.cancel(ANN, attempt.run_id, replaced)
    with pytest.raises(CancelledRunError):
        await desk.effects.begin(attempt, unasked())
    await desk.effects.finish(attempt, effect.tool_call_id, b"written")
    assert await desk.value("SELECT outcome FROM orchestrator.effects") == b"written"


async def test_a_call_is_one_runs_own(desk: Desk) -> None:
    _, attempt = await desk.begun()
    _, other = await desk.begun()
    effect = unasked()
    await desk.effects.begin(attempt, effect)
    with pytest.raises(NotPermittedError):
        await desk.effects.begin(other, effect)
    with pytest.raises(LostAttemptError):
        await desk.effects.finish(other, effect.tool_call_id, b"stolen")
