"""Which replica finds which provider down. The table tells the outbox what that comes to (migration 0022)."""

from collections.abc import Collection
from uuid import UUID

from state.models import ReplicaId
from state.postgres.database import Database

# In the order of their names, as everybody writes them.
_TELL = """
INSERT INTO providers_down (provider, replica_id)
SELECT provider, $1 FROM unnest($2::text[]) AS p (provider) ORDER BY provider
ON CONFLICT DO NOTHING
"""
# What a replica found that has gone stands until somebody has seen the provider work.
_FORGET = """
DELETE FROM providers_down AS d
WHERE (replica_id = $1 AND provider <> ALL ($2::text[]))
    OR (provider = ANY ($3::text[]) AND NOT EXISTS (
        SELECT FROM replicas r WHERE r.replica_id = d.replica_id
    ))
"""


class PostgresProvidersDown:
    """Implements `orchestrator.provider_edges.ProvidersDown`."""

    def __init__(self, database: Database, replica_id: ReplicaId) -> None:
        self._database = database
        self._replica_id = UUID(replica_id)

    async def tell(self, down: Collection[str], working: Collection[str]) -> None:
        forget = (_FORGET, self._replica_id, sorted(down), sorted(working))
        async with self._database.connection() as connection:
            if not down:  # so it is nearly always
                await connection.execute(*forget)
                return
            async with connection.transaction():
                await connection.execute(_TELL, self._replica_id, sorted(down))
                await connection.execute(*forget)
