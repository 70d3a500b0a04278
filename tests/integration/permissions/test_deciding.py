"""Decisions: each once, of what was shown, and the run goes on after the last of them."""

from dataclasses import replace

import pytest

from state.errors import NotFoundError, WrongStateError
from state.models import Owner, RunKind, RunState
from state.permissions import Answer, Decision, PermissionScope, PermissionState
from tests.harness.questions import (
    APPROVED,
    DENIED,
    REVOKED,
    Desk,
    conversation_of,
    digest_of,
    question,
    replaced,
    resolved,
)
from tests.harness.runs import ANN, SUCCEEDED, last, new_run, records

FOR_RUN = replace(APPROVED, scope=PermissionScope.RUN)
EDITED = replace(APPROVED, edited=b'{"path":"b.txt"}', edited_digest=digest_of(b'{"path":"b.txt"}'))
AUDIT = """
SELECT string_agg(action || ' ' || actor || ' ' || reason, ', ' ORDER BY audit_id)
FROM orchestrator.permission_audit
"""


@pytest.mark.parametrize(("answer", "state"), [(APPROVED, "approved"), (DENIED, "denied")])
@pytest.mark.parametrize("kind", RunKind)
async def test_a_decision_is_written_down_and_puts_the_run_back_in_line(
    desk: Desk, kind: RunKind, answer: Answer, state: str
) -> None:
    attempt, (asked,) = await desk.waiting(kind=kind)
    decided, already = await desk.decide(asked, replace(answer, reason="as agreed"))
    assert (decided.state, decided.decided_by, decided.reason, already) == (state, "ann", "as agreed", False)
    assert await desk.state(attempt) is RunState.QUEUED
    record = f"{asked.permission_id} {state} chat".encode()
    assert (await desk.log(attempt))[3:] == [(4, record, False)]
    assert await desk.value(AUDIT) == f"asked  , {state} ann as agreed"
    again = await desk.claimed()
    assert again.number == 2
    found = await desk.permissions.decided(ANN, attempt.run_id, [asked.permission_id])
    assert found == {asked.permission_id: decided}


async def test_a_run_goes_on_when_the_last_of_its_questions_is_decided(desk: Desk) -> None:
    attempt, (first, second) = await desk.waiting(question(), question())
    await desk.decide(second)
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    await desk.decide(first, DENIED)
    assert await desk.state(attempt) is RunState.QUEUED
    assert [sequence for sequence, _, _ in await desk.log(attempt)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("answer", [APPROVED, DENIED, FOR_RUN, EDITED])
async def test_the_same_decision_again_is_success_and_changes_nothing(desk: Desk, answer: Answer) -> None:
    attempt, (asked,) = await desk.waiting()
    decided, _ = await desk.decide(asked, answer)
    assert await desk.decide(asked, replace(answer, decided_by="bob")) == (decided, True)
    assert len(await desk.log(attempt)) == 4


@pytest.mark.parametrize(
    ("first", "then"),
    [(APPROVED, DENIED), (DENIED, APPROVED), (APPROVED, FOR_RUN), (FOR_RUN, APPROVED), (APPROVED, EDITED),
     (APPROVED, REVOKED), (DENIED, REVOKED)],
)  # fmt: skip
async def test_another_decision_is_refused(desk: Desk, first: Answer, then: Answer) -> None:
    attempt, (asked,) = await desk.waiting()
    decided, _ = await desk.decide(asked, first)
    with pytest.raises(WrongStateError):
        await desk.decide(asked, then)
    assert await desk.permissions.get(ANN, asked.permission_id) == decided
    assert len(await desk.log(attempt)) == 4


@pytest.mark.parametrize(
    "answer",
    [
        replace(APPROVED, shown_digest=digest_of(b"{}")),
        replace(APPROVED, scope=PermissionScope.CONVERSATION),
        replace(APPROVED, edited=b"{}"),
        replace(APPROVED, edited=b"{}", edited_digest=digest_of(b"[]")),
        REVOKED,
    ],
)
async def test_an_answer_that_does_not_fit_the_question_is_refused(desk: Desk, answer: Answer) -> None:
    scopes = (PermissionScope.ONCE, PermissionScope.RUN)
    attempt, (asked,) = await desk.waiting(question(allowed_scopes=scopes))
    with pytest.raises(WrongStateError):
        await desk.decide(asked, answer)
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    assert await desk.value(AUDIT) == "asked  "


async def test_edited_arguments_are_what_is_approved(desk: Desk) -> None:
    _, (asked,) = await desk.waiting()
    decided, _ = await desk.decide(asked, replace(EDITED, shown_digest=asked.digest))
    assert (decided.arguments, decided.digest) == (EDITED.edited, EDITED.edited_digest)
    assert (decided.question.arguments, decided.question.digest) == (asked.arguments, asked.digest)


@pytest.mark.parametrize("answer", [APPROVED, DENIED])
async def test_what_has_expired_cannot_be_decided_though_nobody_has_written_that_down(
    desk: Desk, answer: Answer
) -> None:
    attempt, (asked,) = await desk.waiting()
    await desk.let_expire(asked)
    with pytest.raises(WrongStateError, match="expired"):
        await desk.decide(asked, answer)
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION


async def test_what_was_cancelled_cannot_be_approved(desk: Desk) -> None:
    attempt, (asked,) = await desk.waiting()
    await desk.runs.cancel(ANN, attempt.run_id, replaced)
    with pytest.raises(WrongStateError, match="cancelled"):
        await desk.decide(asked)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_chat_that_a_newer_turn_has_replaced_cannot_be_approved(desk: Desk, ended: bool) -> None:
    attempt, (asked,) = await desk.waiting(conversation="c1")
    newer = await desk.runs.begin(new_run(ANN, "c1"), records(1))
    if ended:
        await desk.runs.finish(newer, SUCCEEDED, last(2))
    with pytest.raises(WrongStateError, match="cancelled"):
        await desk.decide(asked)
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION


async def test_a_turn_of_another_conversation_or_of_before_replaces_nothing(desk: Desk) -> None:
    before = await desk.runs.begin(new_run(ANN, "c1"), records(1))
    await desk.runs.finish(before, SUCCEEDED, last(2))
    attempt, (asked,) = await desk.waiting(conversation="c1")
    await desk.runs.begin(new_run(ANN, "c2"), records(1))
    await desk.runs.begin(new_run(Owner("bob"), "c1"), records(1))
    await desk.decide(asked)
    assert await desk.state(attempt) is RunState.QUEUED


async def test_a_standing_approval_covers_its_tool_until_it_is_revoked(desk: Desk) -> None:
    attempt, (here, everywhere) = await desk.waiting(
        question(tool_name="crawl"), question(tool_name="search")
    )
    conversation, other = conversation_of(attempt), (await desk.begun())[1]
    await desk.decide(here, FOR_RUN)
    await desk.decide(everywhere, replace(APPROVED, scope=PermissionScope.CONVERSATION))
    standing = desk.permissions.standing
    assert await standing(ANN, conversation, attempt.run_id) == {"crawl": "run", "search": "conversation"}
    assert await standing(ANN, conversation, other.run_id) == {"search": "conversation"}
    assert await standing(Owner("bob"), conversation, attempt.run_id) == {}
    for asked in (here, everywhere):
        revoked, already = await desk.decide(asked, REVOKED)
        assert (revoked.state, already) == (PermissionState.REVOKED, False)
        assert (await desk.decide(asked, REVOKED))[1]
    assert await standing(ANN, conversation, attempt.run_id) == {}


async def test_revoking_leaves_a_log_alone_that_an_attempt_writes_or_that_has_ended(desk: Desk) -> None:
    attempt, (first, second, third) = await desk.waiting(question(), question(), question())
    for asked in (first, second, third):
        await desk.decide(asked, FOR_RUN)
    await desk.decide(first, REVOKED)
    assert len(await desk.log(attempt)) == 7  # in line: nobody else writes
    again = await desk.claimed()
    await desk.decide(second, REVOKED)
    assert len(await desk.log(attempt)) == 7
    await desk.events.append(again, records(8))
    await desk.runs.finish(again, SUCCEEDED, last(9))
    await desk.decide(third, REVOKED)
    assert [end for _, _, end in await desk.log(attempt)] == [False] * 8 + [True]


async def test_another_owner_finds_nothing(desk: Desk) -> None:
    bob, (attempt, (asked,)) = Owner("bob"), await desk.waiting()
    with pytest.raises(NotFoundError):
        await desk.permissions.get(bob, asked.permission_id)
    with pytest.raises(NotFoundError):
        await desk.permissions.decide(bob, asked.permission_id, APPROVED, resolved)
    with pytest.raises(NotFoundError):
        await desk.permissions.match(bob, conversation_of(attempt), "file_write")
    assert await desk.permissions.decided(bob, attempt.run_id, [asked.permission_id]) == {}


@pytest.mark.parametrize("permission_id", ["0" * 32, "no uuid", ""])
async def test_an_unknown_permission_is_not_found(desk: Desk, permission_id: str) -> None:
    with pytest.raises(NotFoundError):
        await desk.permissions.decide(ANN, permission_id, Answer(Decision.DENIED, "ann"), resolved)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orchestrator.permissions SET state = 'denied'",
        "UPDATE orchestrator.permissions SET edited = 'x'",
        "UPDATE orchestrator.permissions SET arguments = 'x'",
        "UPDATE orchestrator.permission_audit SET actor = 'nobody'",
        "DELETE FROM orchestrator.permission_audit",
    ],
)
async def test_the_table_itself_keeps_what_was_decided(desk: Desk, change: str) -> None:
    _, (asked,) = await desk.waiting()
    await desk.decide(asked)
    with pytest.raises(Exception, match=r"may not go|only added to|violates check"):
        await desk.execute(change)


async def test_the_table_itself_lets_no_run_go_on_while_a_question_is_pending(desk: Desk) -> None:
    attempt, _ = await desk.waiting()
    with pytest.raises(Exception, match="may not go on"):
        await desk.execute("UPDATE orchestrator.runs SET state = 'queued'")
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
