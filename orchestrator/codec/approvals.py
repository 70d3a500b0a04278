"""Requests about permissions as commands, and what they are answered."""

from datetime import datetime
from typing import Any

from google.protobuf import json_format

from orchestrator.codec import pages, requests, validation
from orchestrator.codec.permissions import SCOPES, STATES, pending
from orchestrator.codec.validation import Violations
from orchestrator.permissions import Approval, ApprovalCommand
from protos import orchestrator_pb2 as pb
from state.models import ConversationId, Owner, RunId
from state.permissions import Decision, Permission, PermissionFilter, PermissionScope, PermissionState

_STATES_BY_VALUE = {value: state for state, value in STATES.items()}
_SCOPES_BY_VALUE: dict[int, PermissionScope] = {
    pb.PERMISSION_SCOPE_UNSPECIFIED: PermissionScope.ONCE,
    **{value: scope for scope, value in SCOPES.items()},
}
_DECISIONS = {decision.value: decision for decision in Decision}


def approval_command(request: pb.PermissionApproval) -> ApprovalCommand:
    """A decision.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    validation.check_user(check, request.user_id)
    for name in ("conversation_id", "session_id", "permission_id"):
        check.characters(name, getattr(request, name), validation.ID_CHARACTERS)
    check.characters("operation_type", request.operation_type, validation.NAME_CHARACTERS)
    check.characters("arguments_digest", request.arguments_digest, validation.DIGEST_CHARACTERS)
    check.characters("request_id", request.request_id, validation.REQUEST_ID_CHARACTERS)
    check.text("reason", request.reason, validation.PERSONA_CHARACTERS)
    check.one_of("approval_decision", request.approval_decision, _DECISIONS)
    _check_which(check, request)
    if request.scope not in _SCOPES_BY_VALUE:
        check.add("scope", "is no known scope")
    if request.HasField("edited_arguments") and request.approval_decision != Decision.APPROVED:
        check.add("edited_arguments", "can only be approved")
    edited = _edited(check, request)
    check.done()
    return ApprovalCommand(
        owner=Owner(request.user_id),
        decision=_DECISIONS[request.approval_decision],
        permission_id=request.permission_id,
        conversation_id=ConversationId(request.conversation_id),
        operation_type=request.operation_type,
        scope=_SCOPES_BY_VALUE[request.scope],
        reason=request.reason,
        shown_digest=request.arguments_digest,
        edited=edited,
        key=requests.request_key("ApprovePermission", request),
    )


def approved(approval: Approval) -> pb.ApprovalResponse:
    permission = approval.permission
    return pb.ApprovalResponse(
        success=True,
        message=f"The permission is {permission.state}",
        next_action="continue" if approval.goes_on else "none",
        permission_id=permission.question.permission_id,
        state=STATES[permission.state],
        already_decided=approval.already,
        run_id=permission.run_id,
        arguments_digest=permission.digest if permission.state is PermissionState.APPROVED else "",
    )


def listing(
    request: pb.PermissionRequest,
) -> tuple[Owner, PermissionFilter, tuple[datetime, str] | None, int]:
    """Whose permissions, which, after which one, and how many.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    validation.check_user(check, request.user_id)
    check.characters("conversation_id", request.conversation_id, validation.ID_CHARACTERS)
    check.characters("run_id", request.run_id, validation.ID_CHARACTERS)
    for index, state in enumerate(request.states):
        if state not in _STATES_BY_VALUE:
            check.add(f"states[{index}]", "is no known state")
    check.done()
    states = frozenset(_STATES_BY_VALUE[state] for state in request.states)
    wanted = PermissionFilter(
        ConversationId(request.conversation_id) if request.conversation_id else None,
        RunId(request.run_id) if request.run_id else None,
        states or frozenset({PermissionState.PENDING}),
    )
    position = pages.page_position(requests.list_scope(request), request.page_token)
    after = pages.moment_and_id(position)
    return Owner(request.user_id), wanted, after, pages.page_size(request.page_size)


def listed(request: pb.PermissionRequest, found: list[Permission], *, more: bool) -> pb.PermissionList:
    """One page; `more`: it is not the last."""
    position = ""
    if more:
        last = found[-1]
        position = f"{last.create_time.isoformat()} {last.question.permission_id}"
    token = pages.page_token(requests.list_scope(request), position)
    return pb.PermissionList(permissions=map(pending, found), next_page_token=token)


def _check_which(check: Violations, request: pb.PermissionApproval) -> None:
    if request.permission_id:
        return
    if request.approval_decision == Decision.REVOKED:
        check.add("permission_id", "is required to revoke")
    for name in ("conversation_id", "operation_type"):
        if not getattr(request, name):
            check.add(name, "is required, or permission_id")


def _edited(check: Violations, request: pb.PermissionApproval) -> dict[str, Any] | None:
    if not request.HasField("edited_arguments"):
        return None
    try:
        values: dict[str, Any] = json_format.MessageToDict(request.edited_arguments)
    except (json_format.Error, ValueError):
        check.add("edited_arguments", "may not hold a number that JSON has not")
        return None
    return values
