"""The permission use case: what runs ask for, and what a person says to it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from orchestrator.events import ChunkEncoder, ChunkHeader, PermissionResolved
from orchestrator.unattended import Ended, ended
from orchestrator.watching import PermissionObserver, RunObserver, Unwatched, counted_end
from state.errors import CancelledRunError, NotFoundError
from state.models import ConversationId, Owner, Record, RequestKey, RunId, RunState, UnattendedRun
from state.permission_ports import PermissionStore
from state.permissions import (
    Answer,
    Decision,
    Permission,
    PermissionFilter,
    PermissionScope,
    PermissionState,
)
from state.violations import Resource

logger = logging.getLogger(__name__)

_SHOWN = 100
"""A run asks for all calls of one step at once, and a model makes no more of them."""


class ArgumentCheck(Protocol):
    """What knows the tools."""

    async def __call__(self, owner: Owner, tool_name: str, arguments: Mapping[str, Any]) -> tuple[bytes, str]:
        """Arguments in the form of RFC 8785, and their SHA-256 in hex.

        Raises:
            InvalidRequestError: They do not fit the tool.
        """
        ...


@dataclass(frozen=True, slots=True)
class ApprovalCommand:
    """A person's decision about the permission of this id, or the only one of its kind in a conversation.

    `shown_digest` and `edited` as in `Answer`, the latter before it is checked.
    """

    owner: Owner
    decision: Decision
    permission_id: str = ""
    conversation_id: ConversationId = field(default=ConversationId(""))
    operation_type: str = ""
    scope: PermissionScope = PermissionScope.ONCE
    reason: str = ""
    shown_digest: str = ""
    edited: Mapping[str, Any] | None = None
    key: RequestKey | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """What was decided. `already`: before this call. `goes_on`: nothing keeps the run any more."""

    permission: Permission
    already: bool
    goes_on: bool


class PermissionService:
    """Answers for permissions."""

    def __init__(
        self,
        store: PermissionStore,
        encode: ChunkEncoder,
        check: ArgumentCheck,
        *,
        observer: PermissionObserver | None = None,
        runs: RunObserver | None = None,
    ) -> None:
        self._observer: PermissionObserver = observer or Unwatched()
        self._runs: RunObserver = runs or Unwatched()
        self._store = store
        self._check = check
        self._resolved = partial(_resolved, encode=encode)
        self._replaced = partial(_replaced, encode=encode)

    async def approve(self, command: ApprovalCommand) -> Approval:
        """Commit a decision; the run goes on when it was the last that it waited for.

        Raises:
            NotFoundError: No such permission of this owner.
            WrongStateError: It cannot be decided so, or several would match.
            RequestKeyReusedError: The key was used for another decision.
            InvalidRequestError: The edited arguments do not fit the tool.
        """
        owner, key = command.owner, command.key
        before = await self._store.repeated(owner, key) if key is not None else None
        if before is not None:
            return await self._approval(before, already=True)
        asked = await self._asked(command)
        answer = await self._answer(command, asked)
        decided, already = await self._store.decide(
            owner, asked.question.permission_id, answer, self._resolved, key
        )
        if not already:
            self._observer.decided(decided.state, _wait_seconds(decided))
            extra = {"run_id": decided.run_id, "permission_id": decided.question.permission_id}
            logger.info("permission decided", extra={**extra, "state": decided.state})
        return await self._approval(decided, already=already)

    async def list(
        self, owner: Owner, wanted: PermissionFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Permission]:
        """The owner's permissions, the newest first."""
        return await self._store.list(owner, wanted, after=after, limit=limit)

    async def pending(self, owner: Owner, run_id: RunId) -> Sequence[Permission]:
        """What a run waits for."""
        wanted = PermissionFilter(run_id=run_id)
        return await self._store.list(owner, wanted, after=None, limit=_SHOWN)

    async def settle(self) -> None:
        """Settle what nobody answers any more: to be called again and again."""
        expired: dict[str, Permission] = {}

        def resolved(permission: Permission, agent_name: str, sequence: int) -> Record:
            expired[permission.question.permission_id] = permission
            return self._resolved(permission, agent_name, sequence)

        with counted_end(self._replaced, self._runs) as end:
            settled = await self._store.settle(resolved, end)
        for permission in expired.values():
            self._observer.decided(permission.state, _wait_seconds(permission))
        if settled:
            logger.info("permissions settled that nobody decided", extra={"permissions": settled})

    async def _asked(self, command: ApprovalCommand) -> Permission:
        owner = command.owner
        if not command.permission_id:
            return await self._store.match(owner, command.conversation_id, command.operation_type)
        found = await self._store.get(owner, command.permission_id)
        if command.conversation_id not in ("", found.conversation_id) or command.operation_type not in (
            "",
            found.question.operation_type,
        ):
            raise NotFoundError("no such permission", Resource("permission", command.permission_id))
        return found

    async def _answer(self, command: ApprovalCommand, asked: Permission) -> Answer:
        edited, digest = None, ""
        if command.edited is not None:
            edited, digest = await self._check(command.owner, asked.question.tool_name, command.edited)
        if digest == asked.question.digest:
            edited, digest = None, ""
        return Answer(
            decision=command.decision,
            decided_by=command.owner,
            scope=command.scope,
            reason=command.reason,
            shown_digest=command.shown_digest,
            edited=edited,
            edited_digest=digest,
        )

    async def _approval(self, permission: Permission, *, already: bool) -> Approval:
        goes_on = permission.state in (PermissionState.APPROVED, PermissionState.DENIED)
        if goes_on:
            goes_on = not await self.pending(permission.owner, permission.run_id)
        return Approval(permission, already, goes_on)


def _wait_seconds(permission: Permission) -> float:
    until = permission.decide_time or permission.expire_time
    return max(0.0, (until - permission.create_time).total_seconds())


def _resolved(permission: Permission, agent_name: str, sequence: int, *, encode: ChunkEncoder) -> Record:
    header = ChunkHeader.now(permission.run_id, agent_name, sequence)
    return Record(sequence, encode(PermissionResolved(permission), header))


def _replaced(run: UnattendedRun, *, encode: ChunkEncoder) -> Ended:
    replaced = CancelledRunError("a newer turn of the conversation has replaced this one")
    return ended(run, RunState.CANCELLED, replaced, encode)
