"""One decision about a run that is locked, and what follows from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import UUID

import asyncpg

from state import decisions
from state.errors import NotFoundError
from state.models import ConversationId, Owner, RunId, RunState, UnattendedRun
from state.permission_ports import Resolved
from state.permissions import Answer, Decision, Permission, PermissionScope, PermissionState, Question
from state.postgres import permissions_sql as sql
from state.postgres.fence import parse_run_id
from state.postgres.runs_sql import LOCK
from state.postgres.unattended import unattended
from state.sealed_text import open_text
from state.sealing import Sealing, of_permission
from state.violations import Resource

if TYPE_CHECKING:
    from state.postgres.database import Connection

_UNWRITTEN = (RunState.WAITING_FOR_PERMISSION, RunState.QUEUED)
"""Where no attempt counts the sequences of the log."""


class DisplacedError(Exception):
    """A newer turn has the conversation: this run does not go on."""


@dataclass(slots=True)
class Deciding:
    """The transaction that has locked a run's row. `sequence`: of the log's last record."""

    connection: "Connection"
    run: UnattendedRun
    resolved: Resolved
    sealing: Sealing
    sequence: int

    @classmethod
    def of(cls, connection: "Connection", run: UnattendedRun, resolved: Resolved, sealing: Sealing) -> Self:
        """For a run that this transaction has locked."""
        return cls(connection, run, resolved, sealing, run.last_sequence)

    @classmethod
    async def locked(
        cls, connection: "Connection", owner: Owner, run_id: RunId, resolved: Resolved, sealing: Sealing
    ) -> Self:
        """Raises NotFoundError when the run is gone."""
        row = await connection.fetchrow(LOCK, owner, parse_run_id(run_id))
        if row is None:
            raise NotFoundError("no such run", Resource("run", run_id))
        return cls.of(connection, unattended(row), resolved, sealing)

    async def decide(self, permission: Permission, answer: Answer, request_id: str) -> Permission:
        """Take an answer that was checked.

        Raises:
            DisplacedError: A newer turn has replaced the run; nothing may be committed.
        """
        permission_id = UUID(permission.question.permission_id)
        who = (answer.decided_by, answer.reason, request_id)
        if answer.decision is Decision.REVOKED:
            row = await self.connection.fetchrow(sql.REVOKE, permission_id, *who)
        else:
            approved = answer.decision is Decision.APPROVED
            row = await self.connection.fetchrow(
                sql.DECIDE,
                permission_id,
                decisions.decided_as(answer),
                answer.scope if approved else PermissionScope.ONCE,
                answer.decided_by,
                answer.reason,
                answer.edited if approved else None,
                answer.edited_digest if approved else "",
                request_id,
            )
        assert row is not None
        decided = permission_of(row, self.sealing)
        await self._record(decided)
        await self._go_on()
        return decided

    async def expire(self) -> int:
        """Let expire what is due; returns how many questions that were. Raises DisplacedError, as above."""
        rows = await self.connection.fetch(sql.EXPIRE, UUID(self.run.run_id))
        for row in rows:  # without its texts, which no record has: a missing key keeps nothing pending
            await self._record(permission_of(row, None))
        await self._go_on()
        return len(rows)

    async def _record(self, permission: Permission) -> None:
        if self.run.state not in _UNWRITTEN:
            return
        self.sequence += 1
        said = self.resolved(permission, self.run.agent_name, self.sequence)
        record = self.sealing.record(self.run.owner, self.run.run_id, said)
        arguments = (UUID(self.run.run_id), record.sequence, self.run.owner, record.payload)
        await self.connection.fetchval(sql.RECORD, *arguments)

    async def _go_on(self) -> None:
        run_id = UUID(self.run.run_id)
        try:
            goes = await self.connection.fetchrow(sql.GO_ON, run_id)
        except asyncpg.UniqueViolationError as error:
            raise DisplacedError from error
        # Now that it holds its conversation nobody else can begin there: who has until now is to be seen.
        if goes is not None and await self.connection.fetchval(sql.IS_DISPLACED, run_id):
            raise DisplacedError


def permission_of(row: asyncpg.Record, sealing: Sealing | None) -> Permission:
    """A row of permissions, with how it `stands`; its texts are left out where nothing opens them."""
    owner, permission_id = Owner(row["owner"]), row["permission_id"].hex

    def text(column: str) -> str:
        place = of_permission(owner, permission_id, column)
        return open_text(sealing, place, row[column]) if sealing else ""

    return Permission(
        question=Question(
            permission_id=permission_id,
            tool_call_id=row["tool_call_id"].hex,
            tool_name=row["tool_name"],
            operation_type=row["operation_type"],
            arguments=row["arguments"],
            digest=row["digest"],
            query=text("query"),
            reasoning=text("reasoning"),
            safety_level=row["safety_level"],
            reversible=row["reversible"],
            allowed_scopes=tuple(PermissionScope(scope) for scope in row["allowed_scopes"]),
        ),
        owner=owner,
        run_id=RunId(row["run_id"].hex),
        conversation_id=ConversationId(row["conversation_id"]),
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        state=PermissionState(row["stands"]),
        scope=PermissionScope(row["scope"]),
        decided_by=row["decided_by"],
        decide_time=row["decide_time"],
        reason=row["reason"],
        edited=row["edited"],
        edited_digest=row["edited_digest"],
    )
