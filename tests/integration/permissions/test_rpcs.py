"""Deciding over the wire, and every way in which that is refused."""

import json
from uuid import uuid4

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from state.models import Owner, RunKind, RunState
from state.permissions import PermissionScope, PermissionState
from tests.harness.questions import question
from tests.harness.runs import new_run, records
from tests.harness.statuses import error_info, violations
from tests.integration.permissions.asking import Office
from tests.integration.tasks.asking import refused, status

WRONG, GONE, REUSED, INVALID = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.INVALID_ARGUMENT,
)


async def code_of(office: Office, *arguments: object, **fields: object) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a refused decision."""
    error = await refused(office.approve(*arguments, **fields))  # type: ignore[arg-type]
    return error.code(), error_info(error).reason


async def test_an_approval_is_answered_shown_and_written_into_the_log(office: Office) -> None:
    attempt, (asked,) = await office.asked()
    response = await office.approve(asked, reason="fine", arguments_digest=asked.digest)
    assert (response.success, response.next_action, response.already_decided) == (True, "continue", False)
    assert (response.state, response.run_id) == (pb.PERMISSION_STATE_APPROVED, attempt.run_id)
    assert response.arguments_digest == asked.digest
    requested, waiting, resolved = (await office.chunks(attempt))[:3]
    assert requested.permission_requested.permission.arguments_digest == asked.digest
    assert waiting.status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION
    decided = resolved.permission_resolved
    assert (decided.permission_id, decided.decided_by) == (asked.permission_id, "ann")
    assert decided.state == pb.PERMISSION_STATE_APPROVED
    again = await office.approve(asked)
    assert (again.success, again.already_decided, again.state) == (True, True, pb.PERMISSION_STATE_APPROVED)


async def test_a_run_that_waits_for_more_is_not_said_to_go_on(office: Office) -> None:
    _, (first, second) = await office.asked(question(), question())
    assert (await office.approve(first)).next_action == "none"
    assert (await office.approve(second, approval_decision="denied")).next_action == "continue"


async def test_a_permission_request_chunk_holds_the_json_of_the_permission(office: Office) -> None:
    attempt, (asked,) = await office.asked(kind=RunKind.CHAT)
    call = office.service.stub.ResumeStream(
        pb.ResumeStreamRequest(user_id="ann", run_id=attempt.run_id, after_sequence=1)
    )
    chunk = await anext(aiter(call))
    call.cancel()
    shown = json.loads(chunk.message)
    assert chunk.type == "permission_request"
    assert (shown["permission_id"], shown["arguments"]) == (asked.permission_id, {"path": "a.txt"})
    assert shown["timestamp"] == shown["create_time"]


async def test_what_is_pending_is_listed_and_stands_in_the_task(office: Office) -> None:
    attempt, (asked,) = await office.asked()
    (listed,) = (await office.listed()).permissions
    task = await status(office.service, attempt.run_id)
    assert (task.state, task.status) == (pb.TASK_STATE_WAITING_FOR_PERMISSION, "running")
    assert list(task.pending_permissions) == [listed]
    assert (listed.permission_id, listed.run_id) == (asked.permission_id, attempt.run_id)
    assert (listed.operation_type, listed.tool_name) == ("file_write", "write_file")
    assert (listed.query, listed.reasoning) == (asked.query, asked.reasoning)
    assert dict(listed.arguments) == {"path": "a.txt"}
    assert list(listed.allowed_scopes) == [1, 2, 3]
    assert (listed.expire_time.seconds - listed.create_time.seconds, listed.reversible) == (3600, True)
    await office.approve(asked, scope=pb.PERMISSION_SCOPE_RUN)
    assert not (await office.listed()).permissions
    (decided,) = (await office.listed(states=[pb.PERMISSION_STATE_APPROVED])).permissions
    assert (decided.scope, decided.decided_by) == (pb.PERMISSION_SCOPE_RUN, "ann")
    assert decided.HasField("decide_time")


async def test_a_caller_without_an_id_decides_what_is_the_only_one_of_its_kind(office: Office) -> None:
    one: dict[str, object] = {"conversation_id": "c1", "operation_type": "file_write"}
    _, (asked,) = await office.asked(conversation="c1")
    assert await code_of(office, **{**one, "operation_type": "web_search"}) == (GONE, "NOT_FOUND")
    response = await office.approve(None, **one)
    assert response.permission_id == asked.permission_id
    assert await code_of(office, **one) == (GONE, "NOT_FOUND")
    await office.asked(question(), question(), conversation="c2")
    assert await code_of(office, **{**one, "conversation_id": "c2"}) == (WRONG, "WRONG_STATE")


async def test_a_request_id_makes_a_decision_once_and_for_all_one(office: Office) -> None:
    one: dict[str, object] = {"conversation_id": "c1", "operation_type": "file_write", "request_id": "r1"}
    attempt, (asked,) = await office.asked(conversation="c1")
    first = await office.approve(None, **one)
    assert (await office.approve(None, **one)).already_decided  # though none is pending any more
    again = await office.desk.claimed()
    await office.desk.suspension.suspend(again, [question()], 60.0, records(9))
    repeated = await office.approve(None, **one)  # while another one of its kind is pending
    assert (repeated.permission_id, repeated.already_decided) == (first.permission_id, True)
    assert await office.desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    assert await code_of(office, asked, request_id="r1") == (REUSED, "IDEMPOTENCY_KEY_REUSED")
    error = await refused(
        office.service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", request_id="r1"))
    )
    assert error.code() is GONE  # the request of a decision has begun no run


async def test_a_refused_decision_gives_its_request_id_back(office: Office) -> None:
    _, (asked,) = await office.asked()
    assert await code_of(office, asked, request_id="r1", arguments_digest="0" * 64) == (WRONG, "WRONG_STATE")
    assert (await office.approve(asked, request_id="r1")).success


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"approval_decision": "revoked"}, "revoked"),
        ({"scope": pb.PERMISSION_SCOPE_CONVERSATION}, "scope"),
        ({"arguments_digest": "0" * 64}, "arguments_digest"),
    ],
)
async def test_a_decision_that_does_not_fit_says_what_must_be_put_right(
    office: Office, change: dict[str, object], why: str
) -> None:
    scopes = (PermissionScope.ONCE, PermissionScope.RUN)
    attempt, (asked,) = await office.asked(question(allowed_scopes=scopes))
    error = await refused(office.approve(asked, **change))
    assert (error.code(), error_info(error).reason) == (WRONG, "WRONG_STATE")
    assert why in (error.details() or "")
    assert error_info(error).metadata["state"] == "pending"
    assert await office.desk.state(attempt) is RunState.WAITING_FOR_PERMISSION


async def test_what_is_no_longer_pending_is_refused_with_its_state(office: Office) -> None:
    _, (denied,) = await office.asked()
    await office.approve(denied, approval_decision="denied")
    cancelled_run, (cancelled,) = await office.asked()
    request = pb.CancelTaskRequest(user_id="ann", task_id=cancelled_run.run_id)
    await office.service.stub.CancelTask(request)
    _, (expired,) = await office.asked(seconds=0.0)
    _, (replaced,) = await office.asked(kind=RunKind.CHAT, conversation="c1")
    await office.desk.runs.begin(new_run(conversation="c1"), records(1))
    for asked, state in ((denied, "denied"), (cancelled, "cancelled"), (expired, "expired")):
        error = await refused(office.approve(asked))
        assert (error.code(), error_info(error).metadata["state"]) == (WRONG, state)
    assert (await refused(office.approve(replaced))).code() is WRONG


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"approval_decision": "yes"}, "approval_decision"),
        ({"approval_decision": ""}, "approval_decision"),
        ({"permission_id": ""}, "conversation_id"),
        ({"permission_id": "", "conversation_id": "c1"}, "operation_type"),
        ({"permission_id": "x" * 257}, "permission_id"),
        ({"scope": 17}, "scope"),
        ({"request_id": "x" * 65}, "request_id"),
        ({"arguments_digest": "x" * 65}, "arguments_digest"),
        ({"reason": "x" * 1001}, "reason"),
        ({"approval_decision": "denied", "edited_arguments": {"a": 1}}, "edited_arguments"),
        ({"permission_id": "", "approval_decision": "revoked"}, "permission_id"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_by_field(
    office: Office, fields: dict[str, object], field: str
) -> None:
    error = await refused(office.approve(None, **{"permission_id": "0" * 32, **fields}))
    assert error.code() is INVALID
    assert field in violations(error)


async def test_edited_arguments_are_refused_while_their_tool_is_off(office: Office) -> None:
    _, (asked,) = await office.asked()
    fields = {"edited_arguments": {"path": "b.txt"}}
    assert await code_of(office, asked, **fields) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_permission_is_its_owners_alone(office: Office) -> None:
    attempt, (asked,) = await office.asked(conversation="c1")
    await office.asked(owner=Owner("bob"), conversation="c1")
    assert await code_of(office, asked, user_id="bob") == (GONE, "NOT_FOUND")
    assert await code_of(office, question()) == (GONE, "NOT_FOUND")
    for fields in ({"conversation_id": "c2"}, {"operation_type": "web_search"}):
        assert await code_of(office, asked, **fields) == (GONE, "NOT_FOUND")
    (own,) = (await office.listed(user_id="bob", conversation_id="c1")).permissions
    assert own.permission_id != asked.permission_id
    assert not (await office.listed(user_id="bob", run_id=attempt.run_id)).permissions
    assert not (await office.listed(user_id="eve")).permissions


async def test_a_list_comes_in_pages_the_newest_first(office: Office) -> None:
    asked = [(await office.asked(conversation=f"c{n}"))[1][0].permission_id for n in range(5)]
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await office.listed(page_size=2, page_token=token)
        found += [permission.permission_id for permission in page.permissions]
        token, pages = page.next_page_token, pages + 1
    assert (found, pages) == (asked[::-1], 3)


async def test_a_page_token_is_of_one_list(office: Office) -> None:
    await office.asked(question(), question())
    token = (await office.listed(page_size=1)).next_page_token
    for fields in ({"user_id": "bob"}, {"conversation_id": "c1"}, {"states": [2]}):
        error = await refused(office.listed(page_token=token, **fields))
        assert (error.code(), [*violations(error)]) == (INVALID, ["page_token"])
    for request in ({"page_size": -1}, {"states": [99]}, {"page_token": "nonsense"}, {"user_id": ""}):
        assert (await refused(office.listed(**request))).code() is INVALID


async def test_a_list_can_be_of_a_run_a_conversation_or_a_state(office: Office) -> None:
    first, (one,) = await office.asked(conversation="c1")
    second, (two,) = await office.asked(conversation="c2")
    await office.approve(two, approval_decision="denied")

    async def ids(**fields: object) -> list[str]:
        return [permission.permission_id for permission in (await office.listed(**fields)).permissions]

    assert await ids() == await ids(run_id=first.run_id) == await ids(conversation_id="c1")
    assert await ids() == [one.permission_id]
    assert await ids(run_id=second.run_id) == await ids(run_id="no uuid") == []
    assert await ids(states=[pb.PERMISSION_STATE_DENIED]) == [two.permission_id]
    assert await ids(states=[1, 3], run_id=uuid4().hex) == []
    every = [pb.PermissionState.Value(f"PERMISSION_STATE_{state.name}") for state in PermissionState]
    assert await ids(states=every) == [two.permission_id, one.permission_id]


async def test_the_service_settles_what_nobody_decides(office: Office) -> None:
    attempt, (asked,) = await office.asked(seconds=0.0)
    replaced, _ = await office.asked(kind=RunKind.CHAT, conversation="c1")
    await office.desk.runs.begin(new_run(conversation="c1"), records(1))
    assert await office.service.run_ended(replaced.run_id) == "cancelled"
    last = (await office.chunks(replaced))[-1]
    assert (last.error.reason, "newer turn" in last.error.message) == ("CANCELLED", True)
    resolved = (await office.chunks(attempt))[2].permission_resolved
    assert (resolved.permission_id, resolved.state) == (asked.permission_id, pb.PERMISSION_STATE_EXPIRED)
