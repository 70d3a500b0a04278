"""What readers of a log are shown of questions and decisions."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.protobuf import json_format

from orchestrator.codec.chunks import ReaderOptions, decode, encode
from orchestrator.codec.permissions import pending
from orchestrator.events import ChunkHeader, PermissionAsked, PermissionResolved
from protos import orchestrator_pb2 as pb
from state.models import ConversationId, Owner, RunId
from state.permissions import Permission, PermissionScope, PermissionState
from tests.harness.questions import ALL_SCOPES, question

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEADER = ChunkHeader(RunId("0" * 32), "chat", 7, NOW)
ARGUMENTS = b'{"deep":{"list":[1,2.5,null,true]},"path":"a.txt"}'
QUESTION = question(ARGUMENTS)
PERMISSION = Permission(
    QUESTION, Owner("ann"), HEADER.run_id, ConversationId("c1"), NOW, NOW + timedelta(seconds=60)
)


def test_a_question_in_the_log_is_the_permission_as_it_is_listed() -> None:
    chunk = decode(encode(PermissionAsked(QUESTION, ConversationId("c1"), 60.0), HEADER), ReaderOptions())
    asked = chunk.permission_requested.permission
    assert asked == pending(PERMISSION)
    assert (chunk.type, chunk.sequence) == ("permission_request", 7)
    assert json_format.ParseDict(json.loads(chunk.message), pb.PendingPermission()) == asked
    assert asked.timestamp == "2026-01-02T03:04:05Z"
    assert json_format.MessageToDict(asked.arguments) == json.loads(ARGUMENTS)
    assert list(asked.allowed_scopes) == [
        pb.PermissionScope.Value(f"PERMISSION_SCOPE_{s.name}") for s in ALL_SCOPES
    ]


def test_every_state_of_a_permission_is_told_in_the_log() -> None:
    for state in PermissionState:
        event = PermissionResolved(replace(PERMISSION, state=state, decided_by="ann"))
        chunk = decode(encode(event, HEADER), ReaderOptions())
        resolved = chunk.permission_resolved
        assert (resolved.permission_id, resolved.decided_by) == (QUESTION.permission_id, "ann")
        assert pb.PermissionState.Name(resolved.state) == f"PERMISSION_STATE_{state.name}"
        assert (chunk.type, chunk.message) == ("status", f"Permission {state}")


def test_a_scope_is_shown_once_it_was_given() -> None:
    given = replace(PERMISSION, scope=PermissionScope.RUN)
    for state in PermissionState:
        shown = pending(replace(given, state=state)).scope
        is_given = state in (PermissionState.APPROVED, PermissionState.REVOKED)
        assert shown == (pb.PERMISSION_SCOPE_RUN if is_given else pb.PERMISSION_SCOPE_UNSPECIFIED)
