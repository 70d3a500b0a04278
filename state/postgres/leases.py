"""Which replica executes what, by the database's clock alone."""

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from state.models import (
    Record,
    ReplicaId,
    RunId,
    RunOutcome,
    UnattendedRun,
)
from state.postgres import unattended
from state.postgres.database import Database
from state.postgres.unattended import LOCKED
from state.sealing import PLAIN, Sealing

# Without the cast `$3 * 10` is an integer, and a lease of half a second nothing.
_BEAT = """
WITH forgotten AS (
    DELETE FROM replicas WHERE replica_id IN (
        SELECT replica_id FROM replicas
        WHERE replica_id <> $1 AND beat_time < now() - make_interval(secs => $3::double precision * 10)
        FOR UPDATE SKIP LOCKED
    )
), beat AS (
    INSERT INTO replicas (replica_id, version) VALUES ($1, $2)
    ON CONFLICT (replica_id) DO UPDATE SET beat_time = now()
)
SELECT 1 + count(*) FROM replicas
WHERE replica_id <> $1 AND beat_time > now() - make_interval(secs => $3::double precision)
"""
_LEAVE = "DELETE FROM replicas WHERE replica_id = $1"

# Lost is a run whose replica is silent, and one of ours that we do not execute: its end was not written.
# A database that has just started, or a connection that was just made, has seen nobody beat yet.
_LOST = LOCKED.format("""
SELECT * FROM runs
WHERE (
        state IN ('running', 'cancelling')
        -- A caller that waits does so at its replica, and is gone with it.
        OR (state = 'queued' AND replica_id IS NOT NULL AND NOT survives)
    )
    AND (
        run_id = ANY ($4::uuid[])
        OR (
            (
                NOT EXISTS (
                    SELECT 1 FROM replicas
                    WHERE replicas.replica_id = runs.replica_id
                        AND beat_time > now() - make_interval(secs => $1)
                )
                OR (
                    state <> 'queued' AND runs.replica_id = $2 AND runs.run_id <> ALL ($3::uuid[])
                    AND runs.update_time < now() - make_interval(secs => $1)
                )
            )
            AND pg_postmaster_start_time() < now() - make_interval(secs => $1)
            AND (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
                < now() - make_interval(secs => $1)
        )
    )
ORDER BY run_id LIMIT 100
FOR UPDATE SKIP LOCKED
""")
_CANCELLING = (
    "SELECT run_id FROM runs WHERE replica_id = $1 AND state = 'cancelling' AND NOT cancel_after_step"
)


class PostgresLeases:
    """Implements `state.ports.LeaseStore`.

    `beats` and `reaps` are databases of one connection each: a beat must not wait for anybody's work.
    """

    def __init__(
        self,
        beats: Database,
        reaps: Database,
        replica_id: ReplicaId,
        *,
        version: str,
        sealing: Sealing = PLAIN,
    ) -> None:
        self._sealing = sealing
        self._beats = beats
        self._reaps = reaps
        self._replica_id = UUID(replica_id)
        self._version = version

    async def beat(self, lease_seconds: float) -> int:
        async with self._beats.connection() as connection:
            alive: int = await connection.fetchval(_BEAT, self._replica_id, self._version, lease_seconds)
        return alive

    async def leave(self) -> None:
        async with self._beats.connection() as connection:
            await connection.execute(_LEAVE, self._replica_id)

    async def reap(
        self,
        lease_seconds: float,
        executing: Collection[RunId],
        unborn: Collection[RunId],
        end: Callable[[UnattendedRun], tuple[RunOutcome, Record] | None],
    ) -> int:
        ours, never = [UUID(run_id) for run_id in executing], [UUID(run_id) for run_id in unborn]
        lost = (_LOST, lease_seconds, self._replica_id, ours, never)
        async with self._reaps.connection() as connection:
            if not await connection.fetch(*lost):
                return 0  # as at nearly every look: that needs no transaction
            async with connection.transaction():
                rows = await connection.fetch(*lost)
                for run in map(unattended.unattended, rows):
                    if ended := end(run):
                        await unattended.end(connection, run, *ended, sealing=self._sealing)
                    else:
                        await unattended.requeue(connection, run, self._replica_id)
        return len(rows)

    async def cancelling(self) -> Sequence[RunId]:
        async with self._reaps.connection() as connection:
            rows = await connection.fetch(_CANCELLING, self._replica_id)
        return [RunId(row["run_id"].hex) for row in rows]
