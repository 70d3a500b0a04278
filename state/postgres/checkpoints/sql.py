"""The saver's statements, one for each operation; every write is fenced by the run's attempt."""

from state.postgres.fence import FENCE

_SELECT = """
SELECT c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata,
    (
        SELECT array_agg(ROW(b.channel, b.type, b.blob))
        FROM jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
        JOIN checkpoint_blobs b ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
            AND b.channel = v.key AND b.version = v.value
    ) AS blobs,
    (
        SELECT array_agg(ROW(w.task_id, w.channel, w.type, w.blob, w.task_path, w.idx))
        FROM checkpoint_writes w
        WHERE w.thread_id = c.thread_id AND w.checkpoint_ns = c.checkpoint_ns
            AND w.checkpoint_id = c.checkpoint_id
    ) AS writes
FROM checkpoints c
WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND (c.owner = $3 OR c.owner IS NULL)
"""

SELECT_NEWEST = _SELECT + " ORDER BY c.position DESC LIMIT 1"
SELECT_ONE = _SELECT + " AND c.checkpoint_id = $4"

PUT = f"""
WITH {FENCE}, blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT $4, $5, b.channel, b.version, b.type, b.blob, fence.owner
    FROM fence, unnest($6::text[], $7::text[], $8::text[], $9::bytea[]) AS b (channel, version, type, blob)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING
)
INSERT INTO checkpoints
    (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, owner)
SELECT $4, $5, $10, $11, $12::jsonb, $13::jsonb, fence.owner FROM fence
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
DO UPDATE SET checkpoint = excluded.checkpoint, metadata = excluded.metadata
RETURNING position
"""  # noqa: S608 - a constant


def _put_writes(on_conflict: str) -> str:
    # The insert may skip every row as already there, so the fence is counted beside it.
    return f"""
WITH {FENCE}, written AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob, owner)
    SELECT $4, $5, $6, $7, $8, w.idx, w.channel, w.type, w.blob, fence.owner
    FROM fence, unnest($9::integer[], $10::text[], $11::text[], $12::bytea[]) AS w (idx, channel, type, blob)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) {on_conflict}
)
SELECT 1 FROM fence
"""  # noqa: S608 - constants only


PUT_WRITES_ONCE = _put_writes("DO NOTHING")
PUT_WRITES_AGAIN = _put_writes(
    "DO UPDATE SET channel = excluded.channel, type = excluded.type, blob = excluded.blob"
)
