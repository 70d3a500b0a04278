"""Questions to a person, and what was decided.

Who decides locks the run's row, then the permission's: so a run is put back in line once, by whoever decides
the last of its questions, and its log gets one record after the other.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from state import decisions
from state.errors import NotFoundError, SameRequestError, WrongStateError
from state.models import ConversationId, Owner, RequestKey, RunId
from state.permission_ports import Ends, Resolved
from state.permissions import Answer, Grants, Permission, PermissionFilter, PermissionScope, PermissionState
from state.postgres import permissions_sql as sql
from state.postgres import request_keys
from state.postgres.database import Database
from state.postgres.deciding import Deciding, DisplacedError, permission_of
from state.postgres.settling import Settling
from state.sealing import PLAIN, Sealing
from state.violations import PreconditionViolation, Resource

if TYPE_CHECKING:
    from state.postgres.database import Connection

_ONLY_PENDING = frozenset({PermissionState.PENDING})


class PostgresPermissions:
    """Implements `state.permission_ports.PermissionStore`.

    `settles` serves nobody who waits. What people see and decide goes by way of `callers`, which sees only
    what is theirs.
    """

    def __init__(
        self,
        database: Database,
        settles: Database,
        *,
        callers: Database | None = None,
        sealing: Sealing = PLAIN,
    ) -> None:
        self._sealing = sealing
        self._database = database
        self._callers = callers or database
        self._settling = Settling(settles, sealing=sealing)

    async def get(self, owner: Owner, permission_id: str) -> Permission:
        found = _uuid(permission_id)
        row = None if found is None else await self._callers.asked_one(sql.GET, owner, found)
        return _there(row, permission_id, self._sealing)

    async def match(self, owner: Owner, conversation_id: ConversationId, operation_type: str) -> Permission:
        rows = await self._callers.asked(sql.MATCH, owner, conversation_id, operation_type)
        if not rows:
            resource = Resource("permission", f"{conversation_id}: {operation_type}")
            raise NotFoundError("no such permission is pending", resource)
        if len(rows) > 1:
            why = "several are pending there: name one by its permission_id"
            raise WrongStateError(why, PreconditionViolation("PERMISSION", operation_type, why))
        return permission_of(rows[0], self._sealing)

    async def list(
        self, owner: Owner, wanted: PermissionFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Permission]:
        run_id = _uuid(wanted.run_id) if wanted.run_id else None
        if wanted.run_id and run_id is None:
            return []
        states = wanted.states or frozenset(PermissionState)
        time, last = after or (None, None)
        rows = await self._callers.asked(
            sql.LIST_PENDING if states == _ONLY_PENDING else sql.LIST,
            owner,
            wanted.conversation_id,
            run_id,
            list(states),
            time,
            last and UUID(last),
            limit,
        )
        return [permission_of(row, self._sealing) for row in rows]

    async def repeated(self, owner: Owner, key: RequestKey) -> Permission | None:
        async with self._callers.asking(owner) as connection:
            try:
                await request_keys.check(connection, owner, key)
            except SameRequestError:
                return await _by_request(connection, owner, key, self._sealing)
        return None

    async def decide(
        self,
        owner: Owner,
        permission_id: str,
        answer: Answer,
        resolved: Resolved,
        key: RequestKey | None = None,
    ) -> tuple[Permission, bool]:
        try:
            async with self._callers.asking(owner) as connection:
                permission = await self._get(connection, sql.GET, owner, permission_id)
                if key is not None:
                    try:
                        await request_keys.take_for(connection, owner, key, permission.run_id)
                    except SameRequestError:
                        return await _by_request(connection, owner, key, self._sealing), True
                run_id = permission.run_id
                deciding = await Deciding.locked(connection, owner, run_id, resolved, self._sealing)
                permission = await self._get(connection, sql.LOCK, owner, permission_id)
                decisions.check_shown(permission, answer)
                if decisions.repeats(permission, answer):
                    return permission, True
                decisions.check(permission, answer)
                return await deciding.decide(permission, answer, key.request_id if key else ""), False
        except DisplacedError:
            raise decisions.refused(permission, "a newer turn has replaced the run") from None

    async def settle(self, resolved: Resolved, end: Ends) -> int:
        return await self._settling.settle(resolved, end)

    async def decided(
        self, owner: Owner, run_id: RunId, permission_ids: Collection[str]
    ) -> Mapping[str, Permission]:
        ids = [UUID(permission_id) for permission_id in permission_ids]
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.DECIDED, owner, UUID(run_id), ids)
        return {row["permission_id"].hex: permission_of(row, self._sealing) for row in rows}

    async def standing(self, owner: Owner, conversation_id: ConversationId, run_id: RunId) -> Grants:
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.STANDING, owner, conversation_id, UUID(run_id))
        return {
            row["tool_name"]: PermissionScope.CONVERSATION if row["everywhere"] else PermissionScope.RUN
            for row in rows
        }

    async def _get(
        self, connection: "Connection", statement: str, owner: Owner, permission_id: str
    ) -> Permission:
        found = _uuid(permission_id)
        row = None if found is None else await connection.fetchrow(statement, owner, found)
        return _there(row, permission_id, self._sealing)


def _there(row: asyncpg.Record | None, permission_id: str, sealing: Sealing) -> Permission:
    if row is None:
        raise NotFoundError("no such permission", Resource("permission", permission_id))
    return permission_of(row, sealing)


async def _by_request(
    connection: "Connection", owner: Owner, key: RequestKey, sealing: Sealing
) -> Permission:
    row: asyncpg.Record | None = await connection.fetchrow(sql.BY_REQUEST, owner, key.request_id)
    if row is None:
        raise NotFoundError("what this request decided is gone", Resource("request", key.request_id))
    return permission_of(row, sealing)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
