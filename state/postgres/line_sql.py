"""The statements of the line."""

from state.models import LOSSES_BEFORE_QUARANTINE
from state.postgres.runs_sql import HOLDS
from state.postgres.unattended import LOCKED

# A user's next run stands `spacing` behind the one before it of the same priority: whoever joins with the
# first one is not kept by another's hundred. (Start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996, with
# a fixed cost.)
JOIN = f"""
WITH run AS (
    INSERT INTO runs (
        run_id, owner, kind, conversation_id, agent_name, state, request, survives, wants, rank, wait_until,
        replica_id, priority, not_before, labels, retry_of,
        from_start, agent_version, agent_variant, routing_reason, traceparent
    )
    SELECT $1, $2, $3, $4, $5, 'queued', $6, $7, $8,
        greatest(now(), $16, (
            SELECT max(rank) + make_interval(secs => $9::double precision + $10) FROM runs
            WHERE owner = $2 AND wants = $8 AND priority = $15 AND state = 'queued'
        )) - make_interval(secs => $10),
        now() + make_interval(secs => $11),
        $14, $15, $16, $17::jsonb, $18, $19, $20, $21, $22, $23
    ON CONFLICT (owner, conversation_id) WHERE {HOLDS} DO NOTHING
    RETURNING run_id, owner
), events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT run.run_id, e.sequence, run.owner, e.payload
    FROM run, unnest($12::bigint[], $13::bytea[]) AS e (sequence, payload)
)
SELECT run_id, pg_notify('run_queued', '') FROM run
"""  # noqa: S608 - a constant

# Both counts stop at the mark: they read only an index, and never more of it than matters.
LOAD = """
WITH queued AS (
    SELECT count(*) AS n FROM (SELECT FROM runs WHERE state = 'queued' LIMIT $1) AS q
), running AS (
    SELECT count(*) AS n FROM (SELECT FROM runs WHERE state IN ('running', 'cancelling') LIMIT $1) AS r
)
SELECT queued.n AS queued, queued.n + running.n AS active, refusing FROM queued, running, line_marks
"""
REFUSE = "UPDATE line_marks SET refusing = $1 WHERE refusing <> $1 RETURNING true"
TELL_FULL = """
INSERT INTO outbox (owner, type, data) VALUES ('', 'queue.full', jsonb_build_object('high', $1::bigint))
"""
TELL_ACCEPTING = """
INSERT INTO outbox (owner, type, data) VALUES ('', 'queue.accepting', jsonb_build_object('low', $1::bigint))
"""
REFUSING = "SELECT refusing FROM line_marks"

_QUARANTINED = f"losses >= {LOSSES_BEFORE_QUARANTINE}"
_DUE = "state = 'queued' AND (not_before IS NULL OR not_before <= now())"

# A task waits while its conversation is held, or an earlier one stands before it there.
_CLAIMABLE = f"""
    {_DUE} AND NOT {_QUARANTINED} AND (kind = 'chat' OR attempt > 0 OR NOT EXISTS (
        SELECT FROM runs
        WHERE owner = r.owner AND conversation_id = r.conversation_id AND run_id <> r.run_id AND (
            {HOLDS}
            OR (state = 'queued' AND (create_time, run_id) < (r.create_time, r.run_id))
        )
    ))
"""

# Who of several stands first, each found through the index.
FIRST = f"""
SELECT wants FROM unnest($1::text[]) AS w (wants) CROSS JOIN LATERAL (
    SELECT rank, run_id FROM runs AS r
    WHERE r.wants = w.wants AND {_CLAIMABLE}
    ORDER BY rank, run_id LIMIT 1
) AS first
ORDER BY rank, run_id LIMIT 1
"""  # noqa: S608 - a constant

_TAKE = """
WITH next AS (
    SELECT run_id, greatest(update_time, not_before) AS since FROM runs AS r
    WHERE wants = $2 AND {}
    ORDER BY rank, run_id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE runs SET
    state = 'running', attempt = attempt + 1, tries = tries + 1, replica_id = $1, update_time = now(),
    start_time = coalesce(start_time, now())
FROM next WHERE runs.run_id = next.run_id
RETURNING runs.run_id, owner, kind, agent_name, conversation_id, attempt, request, survives, wants,
    agent_version, agent_variant, routing_reason, tries, deferrals, losses, usage, running_seconds,
    last_sequence(runs.run_id) AS last_sequence,
    CASE WHEN NOT from_start THEN retry_of END AS goes_on_from, traceparent,
    extract(epoch FROM clock_timestamp() - since)::double precision AS waited_seconds
"""
CLAIM = _TAKE.format(_CLAIMABLE)

# What processes have died of has an attempt, and so its conversation.
CLAIM_QUARANTINED = _TAKE.format(f"{_DUE} AND {_QUARANTINED}")
QUARANTINED = f"""
SELECT wants, min(update_time) < now() - make_interval(secs => $2) AND $1 = (
    SELECT replica_id FROM replicas
    WHERE beat_time > now() - make_interval(secs => $3)
    ORDER BY replica_id LIMIT 1
) AS makes_room
FROM runs WHERE {_DUE} AND {_QUARANTINED}
GROUP BY wants ORDER BY min(rank)
"""  # noqa: S608 - a constant

# The distinct values, each found through the index: the line may be long.
WANTED = """
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

QUIET = """
SELECT NOT refusing AND (SELECT wants FROM runs WHERE state = 'queued' ORDER BY wants LIMIT 1) IS NULL
FROM line_marks
"""

_MOST_COUNTED = 10_000
PLACE = f"""1 + (
    SELECT count(*) FROM (
        SELECT FROM runs q
        WHERE q.state = 'queued' AND q.wants = r.wants AND (q.rank, q.run_id) < (r.rank, r.run_id)
        ORDER BY q.rank, q.run_id LIMIT {_MOST_COUNTED}
    ) AS ahead
)"""  # noqa: S608 - a constant
PLACES = f"""
SELECT r.run_id, {PLACE} AS place
FROM runs r WHERE r.run_id = ANY ($1::uuid[]) AND r.state = 'queued'
"""  # noqa: S608 - a constant

OVERDUE = LOCKED.format("""
SELECT * FROM runs
WHERE state = 'queued' AND wait_until < now()
ORDER BY wait_until LIMIT 100
FOR UPDATE SKIP LOCKED
""")
