"""The journal of effects in Postgres."""

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from state.effects import Effect, EffectState, NewEffect
from state.errors import CancelledRunError, NotPermittedError
from state.models import Attempt, RunState
from state.permissions import PermissionState
from state.postgres.database import Database
from state.postgres.fence import FENCE, fence_arguments, lost
from state.postgres.patience import Patience
from state.sealing import PLAIN, Place, Sealing
from state.violations import PreconditionViolation

if TYPE_CHECKING:
    from state.postgres.database import Connection

# Until this transaction ends nobody decides anything about the run, and nobody takes it away.
_OWNED = """
SELECT state FROM runs
WHERE run_id = $1 AND owner = $2 AND attempt = $3 AND state IN ('running', 'cancelling')
FOR SHARE
"""
_FIND = "SELECT * FROM effects WHERE tool_call_id = $1 FOR UPDATE"
_PERMISSION = """
SELECT tool_call_id, state, coalesce(nullif(edited_digest, ''), digest) AS digest FROM permissions
WHERE owner = $1 AND run_id = $2 AND permission_id = $3
"""
_ASKED = "SELECT EXISTS (SELECT FROM permissions WHERE run_id = $1 AND tool_call_id = $2)"
_BEGIN = """
INSERT INTO effects AS e (tool_call_id, run_id, owner, attempt, tool_name, digest, permission_ids, beginning)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tool_call_id) DO UPDATE SET
    attempt = excluded.attempt, digest = excluded.digest, beginning = excluded.beginning, begin_time = now(),
    permission_ids = e.permission_ids || excluded.permission_ids
    WHERE e.run_id = excluded.run_id AND e.state = 'begun' AND NOT excluded.permission_ids <@ e.permission_ids
RETURNING true
"""
# Also while the run is being cancelled: what has come of it is to be known.
_FINISH = f"""
WITH {FENCE}
UPDATE effects SET
    state = 'done', end_time = coalesce(effects.end_time, now()),
    outcome = CASE WHEN effects.state = 'done' THEN effects.outcome ELSE $5 END
FROM fence WHERE effects.tool_call_id = $4 AND effects.run_id = $1
RETURNING true
"""  # noqa: S608 - a constant


class PostgresEffects:
    """Implements `state.permission_ports.EffectStore`. Waits for a database that is away."""

    def __init__(
        self, database: Database, patience: Patience | None = None, *, sealing: Sealing = PLAIN
    ) -> None:
        self._sealing = sealing
        self._database = database
        self._patience = patience or Patience(0.0)

    async def begin(self, attempt: Attempt, effect: NewEffect) -> Effect:
        beginning = uuid4()  # by which this call knows its own row, should the answer have been lost
        return await self._patience(lambda: self._begin(attempt, effect, beginning))

    async def _begin(self, attempt: Attempt, effect: NewEffect, beginning: UUID) -> Effect:
        run_id, owner, number = fence_arguments(attempt)
        call = UUID(effect.tool_call_id)
        async with self._database.connection() as connection, connection.transaction():
            state = await connection.fetchval(_OWNED, run_id, owner, number)
            if state is None:
                raise lost(attempt)
            if state == RunState.CANCELLING:
                raise CancelledRunError("the run was cancelled")
            found = await connection.fetchrow(_FIND, call)
            if found is not None and (known := _as_it_stands(found, run_id, effect, beginning)):
                return self._opened(attempt, effect.tool_call_id, known)
            await _check_permitted(connection, attempt, effect)
            rests_on = [UUID(effect.permission_id)] if effect.permission_id else []
            values = (call, run_id, owner, number, effect.tool_name, effect.digest, rests_on, beginning)
            begun = await connection.fetchval(_BEGIN, *values)
        return Effect(EffectState.BEGUN if begun else EffectState.CUT)

    async def finish(self, attempt: Attempt, tool_call_id: str, outcome: bytes) -> None:
        sealed = self._sealing.seal(_place(attempt, tool_call_id), outcome)
        await self._patience(lambda: self._finish(attempt, tool_call_id, sealed))

    async def _finish(self, attempt: Attempt, tool_call_id: str, outcome: bytes) -> None:
        arguments = (*fence_arguments(attempt), UUID(tool_call_id), outcome)
        async with self._database.connection() as connection:
            if not await connection.fetchval(_FINISH, *arguments):
                raise lost(attempt)

    def _opened(self, attempt: Attempt, tool_call_id: str, known: Effect) -> Effect:
        return replace(known, outcome=self._sealing.open(_place(attempt, tool_call_id), known.outcome))


def _place(attempt: Attempt, tool_call_id: str) -> Place:
    return ("effects.outcome", attempt.owner, attempt.run_id, UUID(tool_call_id).hex)


def _as_it_stands(row: asyncpg.Record, run_id: UUID, effect: NewEffect, beginning: UUID) -> Effect | None:
    """What an earlier call has left; None when a further permission may allow it again."""
    if row["run_id"] != run_id:
        raise _refused(effect, "the call is another run's")
    if row["state"] == "done":
        return Effect(EffectState.DONE, row["outcome"])
    if row["beginning"] == beginning:
        return Effect(EffectState.BEGUN)
    if not effect.permission_id or UUID(effect.permission_id) in row["permission_ids"]:
        return Effect(EffectState.CUT)
    return None


async def _check_permitted(connection: "Connection", attempt: Attempt, effect: NewEffect) -> None:
    run_id, call = UUID(attempt.run_id), UUID(effect.tool_call_id)
    if not effect.permission_id:
        if await connection.fetchval(_ASKED, run_id, call):
            raise _refused(effect, "a person was asked about the call, which names no permission")
        return
    row = await connection.fetchrow(_PERMISSION, attempt.owner, run_id, UUID(effect.permission_id))
    if row is None or row["tool_call_id"] != call:
        raise _refused(effect, "the permission is about another call")
    if row["state"] != PermissionState.APPROVED:
        raise _refused(effect, f"the permission is {row['state']}")
    if row["digest"] != effect.digest:
        raise _refused(effect, "the permission is for other arguments")


def _refused(effect: NewEffect, why: str) -> NotPermittedError:
    violation = PreconditionViolation("PERMISSION", effect.permission_id or effect.tool_call_id, why)
    return NotPermittedError(why, violation)
