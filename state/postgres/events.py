"""The stored log of every run."""

from collections.abc import Sequence

from state.models import Attempt, Owner, Record, RunId
from state.postgres.database import Database
from state.postgres.fence import FENCE, fence_arguments, lost, parse_run_id

_APPEND = f"""
WITH {FENCE}
INSERT INTO run_events (run_id, sequence, owner, payload)
SELECT $1, e.sequence, fence.owner, e.payload
FROM fence, unnest($4::bigint[], $5::bytea[]) AS e (sequence, payload)
RETURNING sequence
"""  # noqa: S608 - a constant

_READ = """
SELECT sequence, payload, terminal FROM run_events
WHERE run_id = $1 AND owner = $2 AND sequence > $3
ORDER BY sequence LIMIT $4
"""


class PostgresEventStore:
    """Implements `state.ports.EventStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, attempt: Attempt, records: Sequence[Record]) -> None:
        async with self._database.connection() as connection:
            written = await connection.fetchval(
                _APPEND,
                *fence_arguments(attempt),
                [r.sequence for r in records],
                [r.payload for r in records],
            )
        if written is None:
            raise lost(attempt)

    async def read(self, owner: Owner, run_id: RunId, after: int, limit: int) -> Sequence[Record]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(_READ, parse_run_id(run_id), owner, after, limit)
        return [Record(row["sequence"], row["payload"], row["terminal"]) for row in rows]
