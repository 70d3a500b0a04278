"""Approving other arguments than were asked about."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from orchestrator.codec.chunks import encode
from orchestrator.permissions import ApprovalCommand, PermissionService
from state.effects import EffectState
from state.errors import InvalidRequestError, NotPermittedError
from state.models import Owner, RunState
from state.permissions import Decision, PermissionState
from state.violations import FieldViolation
from tests.harness.questions import Desk, digest_of
from tests.harness.runs import ANN


async def only_paths(owner: Owner, tool_name: str, arguments: Mapping[str, Any]) -> tuple[bytes, str]:
    """A tool that takes a path, and nothing else."""
    assert (owner, tool_name) == (ANN, "write_file")
    if set(arguments) != {"path"}:
        raise InvalidRequestError(FieldViolation("edited_arguments", "must have a path"))
    canonical = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)
    return canonical, digest_of(canonical)


def command(permission_id: str, edited: Mapping[str, Any]) -> ApprovalCommand:
    return ApprovalCommand(ANN, Decision.APPROVED, permission_id, edited=edited)


async def test_edited_arguments_are_checked_and_then_the_only_ones_to_execute(desk: Desk) -> None:
    service = PermissionService(desk.permissions, encode, only_paths)
    attempt, (asked,) = await desk.waiting()
    with pytest.raises(InvalidRequestError):
        await service.approve(command(asked.permission_id, {"path": "b.txt", "mode": 7}))
    assert await desk.state(attempt) is RunState.WAITING_FOR_PERMISSION
    approval = await service.approve(command(asked.permission_id, {"path": "b.txt"}))
    decided = approval.permission
    assert (decided.state, decided.arguments) == (PermissionState.APPROVED, b'{"path":"b.txt"}')
    attempt = await desk.claimed()
    with pytest.raises(NotPermittedError):
        await desk.effects.begin(attempt, desk.call(asked))
    begun = await desk.effects.begin(attempt, desk.call(asked, decided.digest))
    assert begun.state is EffectState.BEGUN


async def test_arguments_that_were_edited_into_the_same_are_as_asked(desk: Desk) -> None:
    service = PermissionService(desk.permissions, encode, only_paths)
    _, (asked,) = await desk.waiting()
    approval = await service.approve(command(asked.permission_id, {"path": "a.txt"}))
    assert approval.permission.edited is None
    assert (await service.approve(ApprovalCommand(ANN, Decision.APPROVED, asked.permission_id))).already
