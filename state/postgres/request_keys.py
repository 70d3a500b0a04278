"""A request that says which it is begins one run, however often it comes."""

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from state.errors import NotFoundError, RequestKeyReusedError, SameRequestError
from state.models import NewRun, Owner, RequestKey, RunId
from state.postgres.database import Database
from state.violations import Resource

if TYPE_CHECKING:
    from state.postgres.database import Connection

# A key is free again after a day, and when its run ended before anybody took it from the line. Whoever comes
# at the same moment waits here until the first one has committed.
_TAKE = """
INSERT INTO request_keys AS k (owner, method, request_id, digest, run_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner, method, request_id) DO UPDATE
    SET digest = excluded.digest, run_id = excluded.run_id, create_time = now()
    WHERE k.create_time < now() - interval '24 hours'
        OR EXISTS (SELECT FROM runs r WHERE r.run_id = k.run_id AND r.attempt = 0 AND r.end_time IS NOT NULL)
RETURNING true
"""
_HOLDER = """
SELECT digest, run_id FROM request_keys k
WHERE owner = $1 AND method = $2 AND request_id = $3
    AND create_time >= now() - interval '24 hours'
    AND NOT EXISTS (SELECT FROM runs r WHERE r.run_id = k.run_id AND r.attempt = 0 AND r.end_time IS NOT NULL)
"""

# A decision has a key as well, and begins no run.
_ANY_HOLDER = """
SELECT run_id FROM request_keys WHERE owner = $1 AND request_id = $2 AND method <> 'ApprovePermission'
ORDER BY create_time DESC LIMIT 1
"""


async def take(connection: "Connection", run: NewRun) -> None:
    """Give the run its request's key, in the transaction that writes the run.

    Raises:
        SameRequestError: Another run has it.
        RequestKeyReusedError: Another run has it that was asked for something else.
    """
    if run.key is not None:
        await take_for(connection, run.owner, run.key, run.run_id)


async def take_for(connection: "Connection", owner: Owner, key: RequestKey, run_id: RunId) -> None:
    """The same for a request that is about a run which is there already."""
    values = (owner, key.method, key.request_id)
    while not await connection.fetchval(_TAKE, *values, key.digest, UUID(run_id)):
        await check(connection, owner, key)  # returns when the key has become free between the two


async def check(connection: "Connection", owner: Owner, key: RequestKey) -> None:
    """Return when nothing has this key; raises as `take`."""
    _refuse(key, await connection.fetchrow(_HOLDER, owner, key.method, key.request_id))


def _refuse(key: RequestKey, row: asyncpg.Record | None) -> None:
    if row is None:
        return
    if row["digest"] != key.digest:
        raise RequestKeyReusedError(
            "this request_id was used for another request", metadata={"run_id": row["run_id"].hex}
        )
    raise SameRequestError(RunId(row["run_id"].hex))


class PostgresRequestKeys:
    """Implements `state.ports.RequestKeyStore`."""

    def __init__(self, callers: Database) -> None:
        self._callers = callers

    async def check(self, owner: Owner, key: RequestKey) -> None:
        _refuse(key, await self._callers.asked_one(_HOLDER, owner, key.method, key.request_id))

    async def holder(self, owner: Owner, request_id: str) -> RunId:
        row = await self._callers.asked_one(_ANY_HOLDER, owner, request_id)
        if row is None:
            raise NotFoundError("no run was begun by this request_id", Resource("request", request_id))
        return RunId(row["run_id"].hex)
