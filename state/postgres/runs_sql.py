"""The statements of the run store. `FENCE` is what every write of an attempt stands on."""

from state.postgres.fence import FENCE
from state.postgres.unattended import LOCKED

# What the index runs_one_active is about; the planner finds it by this text.
HOLDS = """
(
    state IN ('running', 'cancelling')
    OR (state = 'queued' AND (kind = 'chat' OR attempt > 0))
    OR (state = 'waiting_for_permission' AND kind = 'task')
)
"""

BEGIN = f"""
WITH run AS (
    INSERT INTO runs (
        run_id, owner, kind, conversation_id, agent_name, state, attempt, request, start_time,
        replica_id, survives, wants, wait_until, tries, priority, labels, retry_of, rank,
        from_start, agent_version, agent_variant, routing_reason, traceparent
    )
    VALUES (
        $1, $2, $3, $4, $5, 'running', 1, $6, now(), $9, $10, $11, now() + make_interval(secs => $13), 1,
        $14, $15::jsonb, $16, now() - make_interval(secs => $17), $18, $19, $20, $21, $22
    )
    ON CONFLICT (owner, conversation_id) WHERE {HOLDS} DO NOTHING
    RETURNING run_id, owner, create_time
), events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT run.run_id, e.sequence, run.owner, e.payload
    FROM run, unnest($7::bigint[], $8::bytea[]) AS e (sequence, payload)
)
SELECT thread_head($12), create_time FROM run
"""  # noqa: S608 - a constant

HOLDER = f"SELECT run_id FROM runs WHERE owner = $1 AND conversation_id = $2 AND {HOLDS}"  # noqa: S608

FINISH = f"""
WITH {FENCE}, events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload, terminal)
    SELECT $1, e.sequence, fence.owner, e.payload, e.terminal
    FROM fence, unnest($4::bigint[], $5::bytea[], $6::boolean[]) AS e (sequence, payload, terminal)
    WHERE fence.fenced_state = 'running' OR $7 = 'cancelled'
    ON CONFLICT (run_id, sequence) DO NOTHING
)
UPDATE runs SET
    state = $7, finish_reason = $8, error_reason = nullif($9, ''), result = $10, usage = $11::jsonb,
    last_sequence = $12, end_time = now(), update_time = now()
FROM fence
WHERE runs.run_id = $1 AND (runs.state = 'running' OR $7 = 'cancelled')
RETURNING runs.run_id, pg_notify('run_events', left(runs.run_id::text, 8)),
    -- Its conversation is free now for the next of its tasks.
    CASE WHEN EXISTS (
        SELECT FROM runs q
        WHERE q.owner = runs.owner AND q.conversation_id = runs.conversation_id AND q.state = 'queued'
    ) THEN pg_notify('run_queued', '') END
"""  # noqa: S608 - a constant

REQUEUE = f"""
WITH {FENCE}
UPDATE runs SET
    state = 'queued', replica_id = NULL, wait_until = NULL, tries = tries - 1, update_time = now(),
    usage = coalesce($4::jsonb, runs.usage)
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id, pg_notify('run_queued', '')
"""  # noqa: S608 - a constant

# A chat that its caller waits for stays with its replica, and waits no longer than it was going to.
DEFER = f"""
WITH {FENCE}
UPDATE runs SET
    state = 'queued', deferrals = deferrals + 1, tries = tries - 1, update_time = now(),
    not_before = now() + make_interval(secs => $4), usage = coalesce($5::jsonb, runs.usage),
    replica_id = CASE WHEN survives THEN NULL ELSE replica_id END,
    wait_until = CASE WHEN kind = 'chat' THEN wait_until END
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id, pg_notify('run_queued', '')
"""  # noqa: S608 - a constant

RETRY = f"""
WITH {FENCE}
UPDATE runs SET
    state = 'queued', replica_id = NULL, wait_until = NULL, update_time = now(),
    not_before = now() + make_interval(secs => $4), usage = coalesce($5::jsonb, runs.usage)
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id
"""  # noqa: S608 - a constant

CHOOSE = f"""
WITH {FENCE}
UPDATE runs SET
    agent_name = $4, agent_version = $5, agent_variant = $6, routing_reason = $7, wants = $8,
    update_time = now()
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id
"""  # noqa: S608 - a constant

# A running run is never cancelled in one step: the table of transitions knows only this way.
MARK_CANCELLING = f"""
WITH {FENCE}
UPDATE runs SET state = 'cancelling', update_time = now()
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
"""  # noqa: S608 - a constant

LOCK = LOCKED.format("SELECT * FROM runs WHERE owner = $1 AND run_id = $2 FOR UPDATE")
ASK_TO_END = """
UPDATE runs SET state = 'cancelling', cancel_after_step = $2, update_time = now() WHERE run_id = $1
RETURNING CASE WHEN NOT $2 THEN pg_notify('run_cancels', replace(run_id::text, '-', '')) END
"""

# With the step to come forgotten, should it have been waited for.
HURRY = """
UPDATE runs SET cancel_after_step = false WHERE run_id = $1
RETURNING pg_notify('run_cancels', replace(run_id::text, '-', ''))
"""

STANDS = """
SELECT state, last_sequence, (
    SELECT payload FROM run_events e WHERE e.run_id = runs.run_id AND e.sequence = runs.last_sequence
) AS last FROM runs WHERE run_id = $1 AND owner = $2 AND attempt = $3
"""

SELECT_RUN = """
SELECT run_id, owner, kind, conversation_id, agent_name, state, attempt, create_time, wants,
    coalesce(error_reason, '') AS error_reason,
    last_sequence(run_id) AS last_sequence
FROM runs
"""
GET = SELECT_RUN + " WHERE owner = $1 AND run_id = $2"
LATEST = (
    SELECT_RUN + " WHERE owner = $1 AND conversation_id = $2 ORDER BY create_time DESC, run_id DESC LIMIT 1"
)
