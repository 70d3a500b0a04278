"""Going on from an earlier checkpoint: finding it, and bringing it into another conversation."""

from state.errors import ConversationNotEmptyError, NotFoundError
from state.models import Attempt, Owner, ThreadId
from state.postgres.checkpoints.resealing import resealed
from state.postgres.database import Database
from state.postgres.fence import FENCE, fence_arguments, lost
from state.sealing import PLAIN, Sealing
from state.violations import Resource

# A copy has the id of its original, so there may be several; the one in the wanted thread comes first.
_FIND = """
SELECT thread_id FROM checkpoints
WHERE checkpoint_id = $2 AND owner = $1 AND checkpoint_ns = ''
ORDER BY (thread_id = $3) DESC, position LIMIT 1
"""

_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM checkpoints WHERE thread_id = $1)"

# In the order of writing, which the copies' positions repeat. A target that holds the checkpoint has it from
# an earlier attempt of the same run.
_COPY = f"""
WITH RECURSIVE {FENCE}, chain AS (
    SELECT c.* FROM fence, checkpoints c
    WHERE c.thread_id = $4 AND c.checkpoint_ns = '' AND c.checkpoint_id = $5 AND c.owner = $2
    UNION ALL
    SELECT c.* FROM chain JOIN checkpoints c
        ON c.thread_id = $4 AND c.checkpoint_ns = '' AND c.checkpoint_id = chain.parent_checkpoint_id
        AND c.owner = $2
), there AS (
    SELECT count(*) AS checkpoints, count(*) FILTER (WHERE checkpoint_id = $5) AS copies
    FROM checkpoints WHERE thread_id = $6
), free AS (
    SELECT FROM there WHERE checkpoints = 0
), copied AS (
    INSERT INTO checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata, owner)
    SELECT $6, '', c.checkpoint_id, c.parent_checkpoint_id, c.type, c.checkpoint, c.metadata, c.owner
    FROM free, chain c ORDER BY c.position
), used AS (
    SELECT DISTINCT v.key AS channel, v.value AS version
    FROM chain CROSS JOIN LATERAL jsonb_each_text(chain.checkpoint -> 'channel_versions') AS v
), blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT $6, '', b.channel, b.version, b.type, b.blob, b.owner
    FROM free, used JOIN checkpoint_blobs b
        ON b.thread_id = $4 AND b.checkpoint_ns = '' AND b.channel = used.channel AND b.version = used.version
), writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path, owner)
    SELECT $6, '', w.checkpoint_id, w.task_id, w.idx, w.channel, w.type, w.blob, w.task_path, w.owner
    FROM free, chain JOIN checkpoint_writes w
        ON w.thread_id = $4 AND w.checkpoint_ns = '' AND w.checkpoint_id = chain.checkpoint_id
)
SELECT EXISTS (SELECT FROM fence) AS owned, EXISTS (SELECT FROM chain) AS found,
    checkpoints = 0 OR copies > 0 AS fits, checkpoints = 0 AS copied
FROM there
"""  # noqa: S608 - a constant


class PostgresBranches:
    """Implements `state.ports.BranchStore`."""

    def __init__(
        self, database: Database, *, callers: Database | None = None, sealing: Sealing = PLAIN
    ) -> None:
        self._sealing = sealing
        self._database = database
        self._callers = callers or database

    async def find(self, owner: Owner, checkpoint_id: str, preferred: ThreadId) -> ThreadId:
        row = await self._callers.asked_one(_FIND, owner, checkpoint_id, preferred)
        if row is None:
            raise _unknown(checkpoint_id)
        return ThreadId(row["thread_id"])

    async def is_empty(self, thread_id: ThreadId) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_IS_EMPTY, thread_id))

    async def copy(self, attempt: Attempt, source: ThreadId, checkpoint_id: str, target: ThreadId) -> None:
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(_COPY, *fence_arguments(attempt), source, checkpoint_id, target)
            assert row is not None
            if row["copied"]:
                await resealed(connection, self._sealing, source, target)
        if not row["owned"]:
            raise lost(attempt)
        if not row["fits"]:
            raise ConversationNotEmptyError("the conversation has turns of its own")
        if not row["found"]:
            raise _unknown(checkpoint_id)


def _unknown(checkpoint_id: str) -> NotFoundError:
    return NotFoundError("no such checkpoint", Resource("checkpoint", checkpoint_id))
