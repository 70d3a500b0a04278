"""Retention's statements. Times are the database's; every deletion has a limit, so that no lock lasts.

What was found is deleted by an array of its keys: a join with it would, in a plan for any limit, read all of
the table, because such a plan takes the limit for a tenth of what there is.
"""

# A pass that finds another one at work leaves it to that one.
TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' retention', 0))"

OLD_RUNS = """
SELECT run_id, owner, conversation_id FROM runs
WHERE NOT thread_pruned AND end_time < now() - make_interval(secs => $1)
ORDER BY end_time LIMIT $2
FOR UPDATE SKIP LOCKED
"""
MARK_PRUNED = "UPDATE runs SET thread_pruned = true WHERE run_id = ANY ($1::uuid[])"

# The threads among those given whose conversation has no run that is active or young.
_IDLE = """
idle AS (
    SELECT t.thread_id
    FROM unnest($1::text[], $2::text[], $3::text[]) AS t (thread_id, owner, conversation_id)
    WHERE NOT EXISTS (
        SELECT FROM runs r
        WHERE r.owner = t.owner AND r.conversation_id = t.conversation_id
            AND (r.end_time IS NULL OR r.end_time >= now() - make_interval(secs => $4))
    )
)
"""

# The newest checkpoint of each namespace, where it holds everything. It does not when it counts updates since
# a snapshot: such channels are rebuilt from the ancestors. Before version 4 the parent had the pending sends.
# LATERAL: a join would be planned from guesses at what a thread holds, at times as a scan of the whole table.
_KEPT = f"""
{_IDLE}, kept AS (
    SELECT idle.thread_id, n.checkpoint_ns, h.checkpoint_id, h.checkpoint -> 'channel_versions' AS versions
    FROM idle CROSS JOIN LATERAL (
        SELECT DISTINCT c.checkpoint_ns FROM checkpoints c WHERE c.thread_id = idle.thread_id
    ) AS n
    CROSS JOIN LATERAL (
        SELECT c.checkpoint_id, c.checkpoint, c.metadata FROM checkpoints c
        WHERE c.thread_id = idle.thread_id AND c.checkpoint_ns = n.checkpoint_ns
        ORDER BY c.position DESC LIMIT 1
    ) AS h
    WHERE NOT h.metadata ? 'counters_since_delta_snapshot' AND (h.checkpoint ->> 'v')::integer >= 4
)
"""  # noqa: S608 - a constant

# Locked first and deleted by a statement of its own, which sees who became active while this one waited.
LOCK_CHECKPOINTS = f"""
WITH {_KEPT}
SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id
FROM kept JOIN checkpoints c USING (thread_id, checkpoint_ns)
WHERE c.checkpoint_id <> kept.checkpoint_id
ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id LIMIT $5
FOR UPDATE OF c
"""  # noqa: S608 - a constant

DELETE_CHECKPOINTS = f"""
WITH {_IDLE}, gone AS (
    DELETE FROM checkpoints c USING unnest($5::text[], $6::text[], $7::text[]) AS d (thread_id, ns, id), idle
    WHERE c.thread_id = d.thread_id AND c.checkpoint_ns = d.ns AND c.checkpoint_id = d.id
        AND idle.thread_id = d.thread_id
    RETURNING pg_column_size(c.checkpoint) + pg_column_size(c.metadata) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""  # noqa: S608 - a constant

# Only once no older checkpoint is left: as long as there is one, it could still be read whole.
_ALONE = f"""
{_KEPT}, alone AS (
    SELECT * FROM kept k WHERE NOT EXISTS (
        SELECT FROM checkpoints c
        WHERE c.thread_id = k.thread_id AND c.checkpoint_ns = k.checkpoint_ns
            AND c.checkpoint_id <> k.checkpoint_id
    )
)
"""  # noqa: S608 - a constant

# By physical place: a row that changes meanwhile is somewhere else then, and stays.
DELETE_WRITES = f"""
WITH {_ALONE}, gone AS (
    DELETE FROM checkpoint_writes WHERE ctid = ANY (ARRAY(
        SELECT w.ctid FROM alone JOIN checkpoint_writes w USING (thread_id, checkpoint_ns)
        WHERE w.checkpoint_id <> alone.checkpoint_id LIMIT $5
    ))
    RETURNING pg_column_size(blob) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""  # noqa: S608 - a constant

DELETE_BLOBS = f"""
WITH {_ALONE}, gone AS (
    DELETE FROM checkpoint_blobs WHERE ctid = ANY (ARRAY(
        SELECT b.ctid FROM alone JOIN checkpoint_blobs b USING (thread_id, checkpoint_ns)
        WHERE b.version IS DISTINCT FROM alone.versions ->> b.channel LIMIT $5
    ))
    RETURNING coalesce(pg_column_size(blob), 0) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""  # noqa: S608 - a constant

FORGET_PARENTS = f"""
WITH {_ALONE}
UPDATE checkpoints c SET parent_checkpoint_id = NULL
FROM alone
WHERE c.thread_id = alone.thread_id AND c.checkpoint_ns = alone.checkpoint_ns
    AND c.checkpoint_id = alone.checkpoint_id AND c.parent_checkpoint_id IS NOT NULL
"""  # noqa: S608 - a constant

# Oldest first, so that what is left of a log is its end; a run whose log was not finished comes again.
DELETE_EVENTS = """
WITH old AS (
    SELECT run_id FROM runs
    WHERE NOT log_pruned AND end_time < now() - make_interval(secs => $1)
    ORDER BY end_time LIMIT $2
    FOR UPDATE SKIP LOCKED
), doomed AS (
    SELECT e.ctid FROM old CROSS JOIN LATERAL (
        SELECT e.ctid FROM run_events e WHERE e.run_id = old.run_id AND NOT e.terminal
        ORDER BY e.sequence LIMIT $3
    ) AS e LIMIT $3
), gone AS (
    DELETE FROM run_events WHERE ctid = ANY (ARRAY(SELECT ctid FROM doomed))
    RETURNING pg_column_size(payload) AS bytes
), done AS (
    UPDATE runs SET log_pruned = true
    WHERE run_id = ANY (ARRAY(SELECT run_id FROM old)) AND (SELECT count(*) FROM doomed) < $3
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes, (SELECT count(*) FROM old) AS runs
FROM gone
"""

# What is left of their logs is one record each.
DELETE_RUNS = """
WITH old AS (
    SELECT run_id FROM runs
    WHERE thread_pruned AND log_pruned AND end_time < now() - make_interval(secs => $1)
    ORDER BY end_time LIMIT $2
    FOR UPDATE SKIP LOCKED
), events AS (
    DELETE FROM run_events WHERE run_id = ANY (ARRAY(SELECT run_id FROM old))
    RETURNING pg_column_size(payload) AS bytes
), gone AS (
    DELETE FROM runs WHERE run_id = ANY (ARRAY(SELECT run_id FROM old))
    RETURNING pg_column_size(runs.request) + coalesce(pg_column_size(runs.result), 0) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes,
    (SELECT count(*) FROM events) AS event_rows,
    (SELECT coalesce(sum(bytes), 0)::bigint FROM events) AS event_bytes
FROM gone
"""

DELETE_USAGE = """
WITH gone AS (
    DELETE FROM usage_sums WHERE sum_id = ANY (ARRAY(
        SELECT sum_id FROM usage_sums WHERE since < now() - make_interval(secs => $1) ORDER BY since LIMIT $2
    ))
    RETURNING pg_column_size(usage_sums.*) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

DELETE_REQUEST_KEYS = """
WITH old AS (
    SELECT ctid FROM request_keys
    WHERE create_time < now() - make_interval(secs => $1) ORDER BY create_time LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM request_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM old))
    RETURNING pg_column_size(digest) + pg_column_size(request_id) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""

DELETE_OUTBOX = """
WITH old AS (
    SELECT event_id FROM outbox
    WHERE create_time < now() - make_interval(secs => $1) ORDER BY create_time LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM outbox WHERE event_id = ANY (ARRAY(SELECT event_id FROM old))
    RETURNING pg_column_size(data) AS bytes
)
SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes FROM gone
"""
