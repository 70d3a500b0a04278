"""The statements that copy, delete and prune threads; the text of each is a constant."""

from langgraph.checkpoint.serde.types import TASKS

from state.postgres.checkpoints.delta import stored
from state.postgres.checkpoints.sql import MINE

DELETE = f"""
WITH checkpoints_gone AS (DELETE FROM checkpoints c WHERE {MINE} AND c.thread_id = ANY ($2::text[])),
blobs_gone AS (DELETE FROM checkpoint_blobs c WHERE {MINE} AND c.thread_id = ANY ($2::text[]))
DELETE FROM checkpoint_writes c WHERE {MINE} AND c.thread_id = ANY ($2::text[])
"""  # noqa: S608 - a constant

# In the order of writing, which the copies' positions repeat.
COPY = f"""
WITH free AS (
    SELECT WHERE NOT EXISTS (SELECT FROM checkpoints WHERE thread_id = $3)
), copied AS (
    INSERT INTO checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata, owner)
    SELECT $3, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.type, c.checkpoint, c.metadata, $1
    FROM free, checkpoints c WHERE {MINE} AND c.thread_id = $2 ORDER BY c.position
    RETURNING 1
), blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT $3, c.checkpoint_ns, c.channel, c.version, c.type, c.blob, $1
    FROM free, checkpoint_blobs c WHERE {MINE} AND c.thread_id = $2
), writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path, owner)
    SELECT $3, c.checkpoint_ns, c.checkpoint_id, c.task_id, c.idx, c.channel, c.type, c.blob, c.task_path, $1
    FROM free, checkpoint_writes c WHERE {MINE} AND c.thread_id = $2
)
SELECT EXISTS (SELECT FROM free) AS free, EXISTS (SELECT FROM copied) AS copied
"""  # noqa: S608 - a constant

# What goes with the checkpoints that are `gone`: their writes, their children's link to them, and the blobs
# that no checkpoint `staying` in the namespace uses.
_CLEAN_UP = """
unused AS (
    SELECT g.thread_id, g.checkpoint_ns, v.key AS channel, v.value AS version
    FROM gone g CROSS JOIN LATERAL jsonb_each_text(g.versions) AS v
    EXCEPT
    SELECT s.thread_id, s.checkpoint_ns, v.key, v.value
    FROM staying s CROSS JOIN LATERAL jsonb_each_text(s.versions) AS v
), blobs_gone AS (
    DELETE FROM checkpoint_blobs b USING unused u
    WHERE b.thread_id = u.thread_id AND b.checkpoint_ns = u.checkpoint_ns AND b.channel = u.channel
        AND b.version = u.version
), writes_gone AS (
    DELETE FROM checkpoint_writes w USING gone g
    WHERE w.thread_id = g.thread_id AND w.checkpoint_ns = g.checkpoint_ns
        AND w.checkpoint_id = g.checkpoint_id
), orphaned AS (
    UPDATE checkpoints c SET parent_checkpoint_id = NULL
    FROM staying s JOIN gone g ON g.thread_id = s.thread_id AND g.checkpoint_ns = s.checkpoint_ns
        AND g.checkpoint_id = s.parent_checkpoint_id
    WHERE c.thread_id = s.thread_id AND c.checkpoint_ns = s.checkpoint_ns
        AND c.checkpoint_id = s.checkpoint_id
)
"""

# Always in this order, so that two prunes wait for each other and do not deadlock. A branch that begins at
# one of these rows waits too, and then finds it gone.
LOCK_THREAD = f"""
SELECT FROM checkpoints c WHERE {MINE} AND c.thread_id = $2
ORDER BY c.checkpoint_ns, c.checkpoint_id FOR UPDATE
"""

# A channel whose value a checkpoint does not hold is rebuilt from its ancestors: those stay, up to the value.
_DELTA_CHANNELS = f"""
SELECT c.checkpoint_ns, name
FROM checkpoints c CROSS JOIN LATERAL jsonb_object_keys(c.metadata -> 'counters_since_delta_snapshot') AS name
WHERE {MINE} AND c.thread_id = $2
UNION
SELECT c.checkpoint_ns, v.key
FROM checkpoints c CROSS JOIN LATERAL jsonb_each(c.checkpoint -> 'channel_values') AS v
JOIN checkpoint_blobs b ON b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
    AND b.channel = v.key AND b.version = c.checkpoint -> 'channel_versions' ->> v.key
WHERE {MINE} AND c.thread_id = $2 AND v.value = 'true'
"""  # noqa: S608 - a constant

# A subgraph's call has a namespace of its own, named by its task after a colon. It is over when the
# checkpoint of the outermost graph that it began at is no longer the newest there.
_CALL_IS_OVER = """
h.checkpoint_ns LIKE '%:%' AND EXISTS (
    SELECT FROM checkpoints r
    WHERE r.thread_id = $2 AND r.checkpoint_ns = '' AND r.checkpoint_id = h.metadata -> 'parents' ->> ''
        AND r.checkpoint_id NOT IN (SELECT checkpoint_id FROM heads WHERE checkpoint_ns = '')
)
"""

# `sends`: before version 4 a checkpoint's pending sends were its parent's writes.
KEEP_LATEST = f"""
WITH RECURSIVE heads AS (
    SELECT DISTINCT ON (c.checkpoint_ns) c.*
    FROM checkpoints c WHERE {MINE} AND c.thread_id = $2 ORDER BY c.checkpoint_ns, c.position DESC
), delta AS ({_DELTA_CHANNELS}), kept AS (
    SELECT h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id,
        ARRAY(
            SELECT d.name FROM delta d
            WHERE d.checkpoint_ns = h.checkpoint_ns AND h.checkpoint -> 'channel_versions' ? d.name
                AND NOT {stored("h", "d.name")}
        ) AS open,
        (h.checkpoint ->> 'v')::integer < 4 AND EXISTS (
            SELECT FROM checkpoint_writes w
            WHERE w.thread_id = h.thread_id AND w.checkpoint_ns = h.checkpoint_ns
                AND w.checkpoint_id = h.parent_checkpoint_id AND w.channel = '{TASKS}'
        ) AS sends
    FROM heads h WHERE NOT ({_CALL_IS_OVER})
    UNION ALL
    SELECT c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id,
        ARRAY(SELECT name FROM unnest(kept.open) AS name WHERE NOT {stored("c", "name")}), false
    FROM kept JOIN checkpoints c ON c.thread_id = $2 AND c.checkpoint_ns = kept.checkpoint_ns
        AND c.checkpoint_id = kept.parent_checkpoint_id AND {MINE}
    WHERE kept.open <> '{{}}' OR kept.sends
), gone AS (
    DELETE FROM checkpoints c
    WHERE {MINE} AND c.thread_id = $2 AND NOT EXISTS (
        SELECT FROM kept WHERE kept.checkpoint_ns = c.checkpoint_ns AND kept.checkpoint_id = c.checkpoint_id
    )
    RETURNING c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.checkpoint -> 'channel_versions' AS versions
), staying AS (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id,
        c.checkpoint -> 'channel_versions' AS versions
    FROM kept JOIN checkpoints c ON c.thread_id = $2 AND c.checkpoint_ns = kept.checkpoint_ns
        AND c.checkpoint_id = kept.checkpoint_id
), {_CLEAN_UP}
SELECT count(*) FROM gone
"""  # noqa: S608 - a constant

# `torn`: a checkpoint that stays, in a namespace with delta channels, on one that would go with its writes.
DELETE_RUNS = f"""
WITH doomed AS (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.metadata
    FROM checkpoints c WHERE c.owner = $1 AND c.metadata ->> 'run_id' = ANY ($2::text[])
), staying AS (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, c.metadata,
        c.checkpoint -> 'channel_versions' AS versions
    FROM (SELECT DISTINCT thread_id, checkpoint_ns FROM doomed) AS n
    JOIN checkpoints c ON c.thread_id = n.thread_id AND c.checkpoint_ns = n.checkpoint_ns
    WHERE NOT EXISTS (
        SELECT FROM doomed d
        WHERE d.thread_id = c.thread_id AND d.checkpoint_ns = c.checkpoint_ns
            AND d.checkpoint_id = c.checkpoint_id
    )
), torn AS (
    SELECT FROM staying s JOIN doomed d ON d.thread_id = s.thread_id AND d.checkpoint_ns = s.checkpoint_ns
        AND d.checkpoint_id = s.parent_checkpoint_id
    WHERE s.metadata ? 'counters_since_delta_snapshot' OR d.metadata ? 'counters_since_delta_snapshot'
), gone AS (
    DELETE FROM checkpoints c USING doomed d
    WHERE c.thread_id = d.thread_id AND c.checkpoint_ns = d.checkpoint_ns
        AND c.checkpoint_id = d.checkpoint_id AND NOT EXISTS (SELECT FROM torn)
    RETURNING c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.checkpoint -> 'channel_versions' AS versions
), {_CLEAN_UP}
SELECT EXISTS (SELECT FROM torn)
"""  # noqa: S608 - a constant
