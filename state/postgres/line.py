"""The line of runs that wait for a provider: joining it, standing in it, being taken from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

from state.errors import ConversationBusyError
from state.models import (
    Attempt,
    ClaimedRun,
    ConversationId,
    Joining,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    RunId,
    RunKind,
    RunOutcome,
    UnattendedRun,
)
from state.postgres import unattended
from state.postgres.database import Database
from state.postgres.runs import HOLDER, HOLDS
from state.postgres.unattended import COLUMNS

# A user's next run stands `spacing` behind the one before it: whoever joins with the first one is not kept by
# another one's hundred. (Start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996, with a fixed cost.)
_JOIN = f"""
WITH run AS (
    INSERT INTO runs (
        run_id, owner, kind, conversation_id, agent_name, state, request, survives, wants, rank, wait_until,
        replica_id
    )
    SELECT $1, $2, $3, $4, $5, 'queued', $6, $7, $8,
        greatest(now(), (
            SELECT max(rank) + make_interval(secs => $9) FROM runs
            WHERE owner = $2 AND wants = $8 AND state = 'queued'
        )) - make_interval(secs => $10),
        now() + make_interval(secs => $11),
        $14
    ON CONFLICT (owner, conversation_id) WHERE {HOLDS} DO NOTHING
    RETURNING run_id, owner
), events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT run.run_id, e.sequence, run.owner, e.payload
    FROM run, unnest($12::bigint[], $13::bytea[]) AS e (sequence, payload)
)
SELECT run_id, pg_notify('run_queued', '') FROM run
"""  # noqa: S608 - a constant

_CLAIM = """
WITH next AS (
    SELECT run_id FROM runs WHERE state = 'queued' AND wants = $2 ORDER BY rank, run_id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE runs SET
    state = 'running', attempt = attempt + 1, replica_id = $1, update_time = now(),
    start_time = coalesce(start_time, now())
FROM next WHERE runs.run_id = next.run_id
RETURNING runs.run_id, owner, kind, agent_name, conversation_id, attempt, request, survives,
    usage, running_seconds,
    (SELECT coalesce(max(sequence), 0) FROM run_events e WHERE e.run_id = runs.run_id) AS last_sequence
"""

# The distinct values, each found through the index: the line may be long.
_WANTED = """
WITH RECURSIVE wanted AS (
    (SELECT wants FROM runs WHERE state = 'queued' ORDER BY wants LIMIT 1)
    UNION ALL
    SELECT (
        SELECT r.wants FROM runs r WHERE r.state = 'queued' AND r.wants > w.wants ORDER BY r.wants LIMIT 1
    )
    FROM wanted w WHERE w.wants IS NOT NULL
)
SELECT wants FROM wanted WHERE wants IS NOT NULL
"""

MOST_COUNTED = 10_000
_PLACES = f"""
SELECT r.run_id, 1 + (
    SELECT count(*) FROM (
        SELECT FROM runs q
        WHERE q.state = 'queued' AND q.wants = r.wants AND (q.rank, q.run_id) < (r.rank, r.run_id)
        ORDER BY q.rank, q.run_id LIMIT {MOST_COUNTED}
    ) AS ahead
) AS place
FROM runs r WHERE r.run_id = ANY ($1::uuid[]) AND r.state = 'queued'
"""  # noqa: S608 - a constant

_OVERDUE = f"""
SELECT {COLUMNS} FROM runs
WHERE state = 'queued' AND wait_until < now()
ORDER BY wait_until LIMIT 100
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - a constant


class PostgresLine:
    """Implements `state.ports.LineStore`.

    Who joins shares `joins` with all other callers. Who serves has `claims` for itself, so that the line
    moves on however many join.
    """

    def __init__(self, joins: Database, claims: Database, replica_id: ReplicaId) -> None:
        self._joins = joins
        self._claims = claims
        self._replica_id = UUID(replica_id)

    async def join(
        self, run: NewRun, joining: Joining, first: Sequence[Record], check: Callable[[int], None]
    ) -> int:
        async with self._joins.connection() as connection, connection.transaction():
            while not await connection.fetchrow(
                _JOIN,
                UUID(run.run_id),
                run.owner,
                run.kind,
                run.conversation_id,
                run.agent_name,
                run.request,
                run.survives,
                run.wants,
                joining.spacing_seconds,
                joining.lead_seconds,
                run.wait_seconds,
                [r.sequence for r in first],
                [r.payload for r in first],
                self._replica_id,
            ):
                holder = await connection.fetchval(HOLDER, run.owner, run.conversation_id)
                if holder is not None:  # else it has ended between the two
                    raise ConversationBusyError(holder.hex)
            place: int = (await connection.fetch(_PLACES, [UUID(run.run_id)]))[0]["place"]
            check(place)
        return place

    async def wanted(self) -> Collection[str]:
        async with self._claims.connection() as connection:
            return [row["wants"] for row in await connection.fetch(_WANTED)]

    async def claim(self, wants: str) -> ClaimedRun | None:
        async with self._claims.connection() as connection:
            row = await connection.fetchrow(_CLAIM, self._replica_id, wants)
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
            survives=row["survives"],
            usage=unattended.usage_of(row),
            running_seconds=row["running_seconds"],
        )

    async def places(self, run_ids: Collection[RunId]) -> Mapping[RunId, int]:
        async with self._claims.connection() as connection:
            rows = await connection.fetch(_PLACES, [UUID(run_id) for run_id in run_ids])
        return {RunId(row["run_id"].hex): row["place"] for row in rows}

    async def end_overdue(self, end: Callable[[UnattendedRun], tuple[RunOutcome, Record]]) -> int:
        async with self._claims.connection() as connection, connection.transaction():
            rows = await connection.fetch(_OVERDUE)
            for run in map(unattended.unattended, rows):
                await unattended.end(connection, run, *end(run))
        return len(rows)
