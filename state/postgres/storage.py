"""What takes up space, and whose it is. Reads everything: for people who ask, not for a service at work."""

from collections.abc import Sequence
from typing import NamedTuple

from state.postgres.database import Database

# With indexes and what is stored out of line.
_TABLES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(quote_ident($1))
ORDER BY bytes DESC, name
"""


def _sized(column: str) -> str:
    text = f"convert_to({column}, 'UTF8')"
    return f"int8send(octet_length({text})::bigint) || {text}"


# `state.threads.thread_id` in SQL: only the digest of its name stands beside a checkpoint.
_THREAD_ID = f"""
rtrim(translate(encode(sha256({_sized("owner")} || {_sized("conversation_id")}), 'base64'), '+/', '-_'), '=')
"""

# A conversation whose runs are all deleted has lost its name; its thread's stands for it.
_LARGEST = f"""
WITH events AS (
    SELECT run_id, sum(pg_column_size(payload)) AS bytes FROM run_events GROUP BY run_id
), logs AS (
    SELECT owner, conversation_id, {_THREAD_ID} AS thread_id, coalesce(sum(events.bytes), 0) AS bytes
    FROM runs LEFT JOIN events USING (run_id) GROUP BY owner, conversation_id
), states AS (
    SELECT thread_id, max(owner) AS owner, sum(bytes) AS bytes FROM (
        SELECT thread_id, owner, pg_column_size(checkpoint) + pg_column_size(metadata) AS bytes
        FROM checkpoints
        UNION ALL SELECT thread_id, owner, pg_column_size(blob) FROM checkpoint_blobs
        UNION ALL SELECT thread_id, owner, pg_column_size(blob) FROM checkpoint_writes
    ) AS parts GROUP BY thread_id
)
SELECT coalesce(logs.owner, states.owner, '') AS owner,
    coalesce(logs.conversation_id, 'thread ' || thread_id) AS name,
    coalesce(states.bytes, 0)::bigint AS checkpoints, coalesce(logs.bytes, 0)::bigint AS events
FROM logs FULL JOIN states USING (thread_id)
ORDER BY coalesce(states.bytes, 0) + coalesce(logs.bytes, 0) DESC, owner, name LIMIT $1
"""  # noqa: S608 - constants only


class TableSize(NamedTuple):
    """A table with its indexes, as it lies on the disk."""

    name: str
    bytes: int


class ConversationSize(NamedTuple):
    """A conversation's values as stored, in bytes: checkpoints with their blobs and writes, and logs."""

    owner: str
    name: str
    checkpoints: int
    events: int


class PostgresStorage:
    """Measures the tables of one schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tables(self) -> Sequence[TableSize]:
        """Every table, the largest first; none when nothing was ever migrated."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_TABLES, self._database.schema)
        return [TableSize(row["name"], row["bytes"]) for row in rows]

    async def largest(self, most: int) -> Sequence[ConversationSize]:
        """The largest conversations of all users; none when nothing was ever migrated."""
        if not await self.tables():
            return []
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LARGEST, most)
        return [ConversationSize(*row) for row in rows]
