"""The savers' statements for single checkpoints: each a constant, every write of a run fenced."""

from langgraph.checkpoint.serde.types import TASKS

from state.postgres.fence import FENCE

MINE = "(c.owner = $1 OR c.owner IS NULL)"
"""Rows of the official saver have no owner; whoever knows their thread's name may have them."""

# `sends`: before version 4 a checkpoint's pending sends were its parent's writes.
_COLUMNS = f"""
c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.checkpoint, c.metadata, c.position,
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
) AS writes,
CASE WHEN (c.checkpoint ->> 'v')::integer < 4 THEN (
    SELECT array_agg(ROW(w.task_id, w.idx, w.type, w.blob) ORDER BY w.task_path, w.task_id, w.idx)
    FROM checkpoint_writes w
    WHERE w.thread_id = c.thread_id AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.parent_checkpoint_id AND w.channel = '{TASKS}'
) END AS sends
"""  # noqa: S608 - a constant

_HEAD = f"""
SELECT max(h.position) FROM checkpoints h
WHERE h.thread_id = c.thread_id AND h.checkpoint_ns = c.checkpoint_ns AND {MINE.replace("c.", "h.")}
"""  # noqa: S608 - a constant

# The outer join gives a row of NULLs where there is no checkpoint: a grouped statement gives exactly one row.
SELECT_NEWEST = f"""
SELECT found.* FROM (VALUES (1)) AS always LEFT JOIN LATERAL (
    SELECT {_COLUMNS}
    FROM checkpoints c WHERE {MINE} AND c.thread_id = $2 AND c.checkpoint_ns = $3
    ORDER BY c.position DESC LIMIT 1
) AS found ON true
"""  # noqa: S608 - a constant

SELECT_ONE = f"""
SELECT {_COLUMNS}, ({_HEAD}) AS head
FROM checkpoints c WHERE {MINE} AND c.thread_id = $2 AND c.checkpoint_ns = $3 AND c.checkpoint_id = $4
"""  # noqa: S608 - a constant

# $7 is the checkpoint before which to look, in whatever namespace it is: a replay asks for a subgraph's
# checkpoint before one of the graph around it. Where it is not stored any more its id, a time, decides.
_LIST = f"""
SELECT {_COLUMNS}, c.thread_id, ({_HEAD}) AS head
FROM checkpoints c
WHERE %s
    AND ($3::text IS NULL OR c.checkpoint_ns = $3) AND ($4::text IS NULL OR c.checkpoint_id = $4)
    AND c.metadata @> $5::jsonb AND c.position < $6
    AND ($7::text IS NULL OR coalesce(
        c.position < (
            SELECT max(e.position) FROM checkpoints e
            WHERE e.checkpoint_id = $7 AND e.thread_id = c.thread_id AND (e.owner = $1 OR e.owner IS NULL)
        ),
        c.checkpoint_id < $7
    ))
ORDER BY c.position DESC LIMIT $8
"""  # noqa: S608 - a constant

LIST_THREAD = _LIST % f"{MINE} AND c.thread_id = $2"
LIST_OWNER = _LIST % "c.owner = $1 AND $2::text IS NULL"

# A checkpoint written again keeps its position.
_OVER_MINE = """
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
DO UPDATE SET checkpoint = excluded.checkpoint, metadata = excluded.metadata
WHERE c.owner = excluded.owner OR c.owner IS NULL
"""

# The common way: a checkpoint goes on from the newest one. Writing the newest one again changes nothing but
# its content.
_AFTER_THE_NEWEST = """
place AS (
    SELECT fence.owner, coalesce(head.position, 0) AS follows
    FROM fence LEFT JOIN head ON true
    WHERE head.checkpoint_id IS NOT DISTINCT FROM $7 OR head.checkpoint_id = $6
)
"""

# A branch: the run read $7 by its id when $14 was the position of the newest one, and nothing came since. The
# lock keeps a prune from taking away what the branch stands on.
_FROM_A_BRANCH = """
parent AS (
    SELECT FROM checkpoints
    WHERE thread_id = $4 AND checkpoint_ns = $5 AND checkpoint_id = $7 AND (owner = $2 OR owner IS NULL)
    FOR KEY SHARE
),
place AS (
    SELECT fence.owner, head.position AS follows FROM fence, head
    WHERE head.position = $14 AND ($7::text IS NULL OR EXISTS (SELECT FROM parent))
)
"""


def _put(place: str) -> str:
    return f"""
WITH {FENCE}, head AS (
    SELECT checkpoint_id, position FROM checkpoints
    WHERE thread_id = $4 AND checkpoint_ns = $5 AND (owner = $2 OR owner IS NULL)
    ORDER BY position DESC LIMIT 1
), {place}, blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT $4, $5, b.channel, b.version, b.type, b.blob, place.owner
    FROM place,
        unnest($10::text[], $11::text[], $12::text[], $13::bytea[]) AS b (channel, version, type, blob)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING
), written AS (
    INSERT INTO checkpoints AS c
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, owner, follows)
    SELECT $4, $5, $6, $7, $8::jsonb, $9::jsonb, place.owner, place.follows FROM place
    {_OVER_MINE}
    RETURNING 1
)
SELECT EXISTS (SELECT FROM fence) AS owned, EXISTS (SELECT FROM written) AS placed
"""  # noqa: S608 - constants only


PUT = _put(_AFTER_THE_NEWEST)
PUT_BRANCH = _put(_FROM_A_BRANCH)

PUT_UNFENCED = f"""
WITH blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT $2, $3, b.channel, b.version, b.type, b.blob, $1
    FROM unnest($8::text[], $9::text[], $10::text[], $11::bytea[]) AS b (channel, version, type, blob)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING
)
INSERT INTO checkpoints AS c
    (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata, owner)
VALUES ($2, $3, $4, $5, $6::jsonb, $7::jsonb, $1)
{_OVER_MINE}
"""  # noqa: S608 - a constant

ONCE = "DO NOTHING"
AGAIN = "DO UPDATE SET channel = excluded.channel, type = excluded.type, blob = excluded.blob"
"""Errors, interrupts and answers to them have a place of their own each: the last one counts."""


def _put_writes(on_conflict: str) -> str:
    return f"""
WITH {FENCE}, written AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob, owner)
    SELECT $4, $5, $6, $7, $8, w.idx, w.channel, w.type, w.blob, fence.owner
    FROM fence, unnest($9::integer[], $10::text[], $11::text[], $12::bytea[]) AS w (idx, channel, type, blob)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) {on_conflict}
)
SELECT EXISTS (SELECT FROM fence) AS owned
"""  # noqa: S608 - constants only


PUT_WRITES_ONCE = _put_writes(ONCE)
PUT_WRITES_AGAIN = _put_writes(AGAIN)


def _put_writes_unfenced(on_conflict: str) -> str:
    return f"""
INSERT INTO checkpoint_writes
    (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob, owner)
SELECT $2, $3, $4, $5, $6, w.idx, w.channel, w.type, w.blob, $1
FROM unnest($7::integer[], $8::text[], $9::text[], $10::bytea[]) AS w (idx, channel, type, blob)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) {on_conflict}
"""  # noqa: S608 - constants only


PUT_WRITES_ONCE_UNFENCED = _put_writes_unfenced(ONCE)
PUT_WRITES_AGAIN_UNFENCED = _put_writes_unfenced(AGAIN)
