"""Forgetting a conversation."""

from uuid import uuid4

from state.errors import ConversationBusyError, NotFoundError
from state.models import ConversationId, Owner
from state.postgres.database import Database
from state.postgres.runs_sql import HOLDS
from state.threads import thread_id
from state.violations import Resource

# A row that holds the conversation's place until the transaction ends: whoever begins a run meanwhile waits
# for it, and then finds nothing left to go on from.
_TAKE_PLACE = f"""
INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request)
VALUES ($1, $2, 'chat', $3, '', 'cancelling', '')
ON CONFLICT (owner, conversation_id) WHERE {HOLDS} DO NOTHING
RETURNING run_id
"""  # noqa: S608 - a constant
_ACTIVE = """
SELECT run_id FROM runs
WHERE owner = $1 AND conversation_id = $2 AND end_time IS NULL AND run_id <> $3
LIMIT 1
"""
_DELETE_RUNS = """
WITH gone AS (
    DELETE FROM runs
    WHERE owner = $1 AND conversation_id = $2 AND (end_time IS NOT NULL OR run_id = $3)
    RETURNING run_id
)
SELECT count(*) FROM gone WHERE run_id <> $3
"""
_DELETE_CHECKPOINTS = """
WITH gone AS (DELETE FROM checkpoints WHERE thread_id = $1 RETURNING 1),
blobs AS (DELETE FROM checkpoint_blobs WHERE thread_id = $1),
writes AS (DELETE FROM checkpoint_writes WHERE thread_id = $1)
SELECT count(*) FROM gone
"""


class PostgresConversations:
    """Implements `state.ports.ConversationStore`."""

    def __init__(self, callers: Database) -> None:
        self._callers = callers

    async def delete(self, owner: Owner, conversation_id: ConversationId) -> int:
        place, thread = uuid4(), thread_id(owner, conversation_id)
        async with self._callers.asking(owner, thread=thread) as connection:
            await connection.fetchval(_TAKE_PLACE, place, owner, conversation_id)
            active = await connection.fetchval(_ACTIVE, owner, conversation_id, place)
            if active is not None:
                raise ConversationBusyError(active.hex)
            runs: int = await connection.fetchval(_DELETE_RUNS, owner, conversation_id, place)
            # A task that joined meanwhile holds no place, so it was not waited for.
            joined = await connection.fetchval(_ACTIVE, owner, conversation_id, place)
            if joined is not None:
                raise ConversationBusyError(joined.hex)
            checkpoints: int = await connection.fetchval(_DELETE_CHECKPOINTS, thread)
            if not runs and not checkpoints:
                raise NotFoundError("no such conversation", Resource("conversation", conversation_id))
        return runs
