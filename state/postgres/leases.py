"""Which replica executes what, by the database's clock alone."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from state.models import (
    Attempt,
    ClaimedRun,
    ConversationId,
    LostRun,
    Owner,
    Record,
    ReplicaId,
    RunId,
    RunKind,
    RunOutcome,
    RunState,
)
from state.postgres.database import Database

if TYPE_CHECKING:
    from state.postgres.database import Connection

_BEAT = """
INSERT INTO replicas (replica_id, version) VALUES ($1, $2)
ON CONFLICT (replica_id) DO UPDATE SET beat_time = now()
"""
_LEAVE = "DELETE FROM replicas WHERE replica_id = $1"

# Lost is a run whose replica is silent, and one of ours that we do not execute: its end was not written.
# A database that has just started, or a connection that was just made, has seen nobody beat yet.
_LOST = """
SELECT run_id, owner, kind, agent_name, conversation_id, state, attempt, survives,
    (SELECT coalesce(max(sequence), 0) FROM run_events e WHERE e.run_id = runs.run_id) AS last_sequence
FROM runs
WHERE state IN ('running', 'cancelling')
    AND (
        NOT EXISTS (
            SELECT 1 FROM replicas
            WHERE replicas.replica_id = runs.replica_id AND beat_time > now() - make_interval(secs => $1)
        )
        OR (
            runs.replica_id = $2 AND runs.run_id <> ALL ($3::uuid[])
            AND runs.update_time < now() - make_interval(secs => $1)
        )
    )
    AND pg_postmaster_start_time() < now() - make_interval(secs => $1)
    AND (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
        < now() - make_interval(secs => $1)
ORDER BY run_id LIMIT 100
FOR UPDATE SKIP LOCKED
"""
_REQUEUE = "UPDATE runs SET state = 'queued', replica_id = NULL, update_time = now() WHERE run_id = $1"
_LAST_RECORD = """
INSERT INTO run_events (run_id, sequence, owner, payload, terminal) VALUES ($1, $2, $3, $4, true)
"""
_END = """
UPDATE runs SET state = $2, error_reason = $3, last_sequence = $4, end_time = now(), update_time = now()
WHERE run_id = $1
RETURNING pg_notify('run_events', left(run_id::text, 8))
"""
# Without the cast `$1 * 10` is an integer, and a lease of half a second nothing.
_FORGET = "DELETE FROM replicas WHERE beat_time < now() - make_interval(secs => $1::double precision * 10)"

_CLAIM = """
WITH next AS (
    SELECT run_id FROM runs WHERE state = 'queued' ORDER BY create_time, run_id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE runs SET state = 'running', attempt = attempt + 1, replica_id = $1, update_time = now()
FROM next WHERE runs.run_id = next.run_id
RETURNING runs.run_id, owner, kind, agent_name, conversation_id, attempt, request,
    (SELECT coalesce(max(sequence), 0) FROM run_events e WHERE e.run_id = runs.run_id) AS last_sequence
"""


class PostgresLeases:
    """Implements `state.ports.LeaseStore`.

    `beats` and `reaps` are databases of one connection each: a beat must not wait for anybody's work.
    """

    def __init__(self, beats: Database, reaps: Database, replica_id: ReplicaId, *, version: str) -> None:
        self._beats = beats
        self._reaps = reaps
        self._replica_id = UUID(replica_id)
        self._version = version

    async def beat(self) -> None:
        async with self._beats.connection() as connection:
            await connection.execute(_BEAT, self._replica_id, self._version)

    async def leave(self) -> None:
        async with self._beats.connection() as connection:
            await connection.execute(_LEAVE, self._replica_id)

    async def reap(
        self,
        lease_seconds: float,
        executing: Collection[RunId],
        end: Callable[[LostRun], tuple[RunOutcome, Record] | None],
    ) -> int:
        ours = [UUID(run_id) for run_id in executing]
        async with self._reaps.connection() as connection, connection.transaction():
            rows = await connection.fetch(_LOST, lease_seconds, self._replica_id, ours)
            lost = [_lost(row) for row in rows]
            for run in lost:
                await _settle(connection, run, end(run))
            await connection.execute(_FORGET, lease_seconds)
        return len(lost)

    async def claim(self) -> ClaimedRun | None:
        async with self._reaps.connection() as connection:
            row = await connection.fetchrow(_CLAIM, self._replica_id)
        if row is None:
            return None
        run_id, owner = RunId(row["run_id"].hex), Owner(row["owner"])
        return ClaimedRun(
            attempt=Attempt(owner, run_id, row["attempt"]),
            kind=RunKind(row["kind"]),
            agent_name=row["agent_name"],
            conversation_id=ConversationId(row["conversation_id"]),
            request=row["request"],
            last_sequence=row["last_sequence"],
        )


async def _settle(connection: "Connection", run: LostRun, ended: tuple[RunOutcome, Record] | None) -> None:
    run_id = UUID(run.run_id)
    if ended is None:
        await connection.execute(_REQUEUE, run_id)
        return
    outcome, record = ended
    await connection.execute(_LAST_RECORD, run_id, record.sequence, run.owner, record.payload)
    await connection.fetchval(_END, run_id, outcome.state, outcome.error_reason, record.sequence)


def _lost(row: asyncpg.Record) -> LostRun:
    return LostRun(
        run_id=RunId(row["run_id"].hex),
        owner=Owner(row["owner"]),
        kind=RunKind(row["kind"]),
        agent_name=row["agent_name"],
        conversation_id=ConversationId(row["conversation_id"]),
        state=RunState(row["state"]),
        survives=row["survives"],
        last_sequence=row["last_sequence"],
    )
