"""Permissions as messages: in lists, in tasks, and in the chunks of a log."""

from datetime import UTC, datetime

import orjson
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from protos import orchestrator_pb2 as pb
from state.permissions import Permission, PermissionScope, PermissionState, Question

STATES = {state: pb.PermissionState.Value(f"PERMISSION_STATE_{state.name}") for state in PermissionState}
SCOPES = {scope: pb.PermissionScope.Value(f"PERMISSION_SCOPE_{scope.name}") for scope in PermissionScope}


def pending(permission: Permission) -> pb.PendingPermission:
    """A permission as it stands, whatever its state."""
    message = asked(permission.question, permission.create_time, permission.expire_time)
    message.run_id = permission.run_id
    message.conversation_id = permission.conversation_id
    message.state = STATES[permission.state]
    message.decided_by = permission.decided_by
    if permission.state in (PermissionState.APPROVED, PermissionState.REVOKED):
        message.scope = SCOPES[permission.scope]
    if permission.decide_time is not None:
        message.decide_time.FromDatetime(permission.decide_time)
    return message


def asked(question: Question, create_time: datetime, expire_time: datetime) -> pb.PendingPermission:
    """A question, as it is first put."""
    created = _timestamp(create_time)
    message = pb.PendingPermission(
        operation_type=question.operation_type,
        query=question.query,
        reasoning=question.reasoning,
        safety_level=question.safety_level,
        timestamp=created.ToJsonString(),
        permission_id=question.permission_id,
        tool_name=question.tool_name,
        arguments_digest=question.digest,
        create_time=created,
        expire_time=_timestamp(expire_time),
        state=pb.PERMISSION_STATE_PENDING,
        allowed_scopes=[SCOPES[scope] for scope in question.allowed_scopes],
        reversible=question.reversible,
    )
    json_format.ParseDict(orjson.loads(question.arguments), message.arguments)
    return message


def resolved(permission: Permission) -> pb.PermissionResolved:
    """What readers of a log are told of a decision."""
    return pb.PermissionResolved(
        permission_id=permission.question.permission_id,
        state=STATES[permission.state],
        decided_by=permission.decided_by,
    )


def _timestamp(time: datetime) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(time.astimezone(UTC))
    return moment
