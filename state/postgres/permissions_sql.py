"""The statements of questions to a person. Who decides has locked the run's row before the permission's."""

from state.postgres.fence import FENCE
from state.postgres.runs_sql import HOLDS
from state.postgres.unattended import LOCKED

# A chat `r` that waits holds nothing: a newer turn may hold its conversation, or have begun there and ended.
DISPLACED = f"""(
    r.kind = 'chat' AND EXISTS (
        SELECT FROM runs
        WHERE owner = r.owner AND conversation_id = r.conversation_id AND run_id <> r.run_id
            AND ({HOLDS} OR start_time > r.start_time)
    )
)"""

# What is due and what was replaced is so at once, whenever somebody writes it down. The clock goes on while a
# transaction waits for a lock.
_STANDS = f"""CASE
    WHEN p.state <> 'pending' THEN p.state
    WHEN p.expire_time <= clock_timestamp() THEN 'expired'
    WHEN {DISPLACED} THEN 'cancelled'
    ELSE 'pending'
END"""

SELECT = f"SELECT p.*, {_STANDS} AS stands FROM permissions AS p JOIN runs AS r USING (run_id)"  # noqa: S608
GET = f"{SELECT} WHERE p.owner = $1 AND p.permission_id = $2"
LOCK = f"{GET} FOR UPDATE OF p"
MATCH = f"""
{SELECT}
WHERE p.owner = $1 AND p.state = 'pending' AND p.conversation_id = $2 AND p.operation_type = $3
    AND {_STANDS} = 'pending'
LIMIT 2
"""
LIST = f"""
{SELECT}
WHERE p.owner = $1
    AND ($2::text IS NULL OR p.conversation_id = $2)
    AND ($3::uuid IS NULL OR p.run_id = $3)
    AND p.state = ANY ($4 || '{{pending}}'::text[])
    AND {_STANDS} = ANY ($4)
    AND ($5::timestamptz IS NULL OR (p.create_time, p.permission_id) < ($5, $6))
ORDER BY p.create_time DESC, p.permission_id DESC LIMIT $7
"""
# The same, by an index that has only these.
LIST_PENDING = LIST.replace("p.state = ANY ($4 || '{pending}'::text[])", "p.state = 'pending'")
DECIDED = """
SELECT *, state AS stands FROM permissions
WHERE owner = $1 AND run_id = $2 AND permission_id = ANY ($3::uuid[]) AND state <> 'pending'
"""
STANDING = """
SELECT tool_name, bool_or(scope = 'conversation') AS everywhere FROM permissions
WHERE owner = $1 AND conversation_id = $2 AND state = 'approved' AND scope <> 'once'
    AND (scope = 'conversation' OR run_id = $3)
GROUP BY tool_name
"""
BY_REQUEST = f"""
{SELECT}
WHERE p.owner = $1 AND p.permission_id = (
    -- What the index is about: a plan for any $2 does not know that it is not empty.
    SELECT permission_id FROM permission_audit WHERE owner = $1 AND request_id = $2 AND request_id <> ''
    ORDER BY audit_id DESC LIMIT 1
)
"""  # noqa: S608 - a constant

DECIDE = """
UPDATE permissions SET
    state = $2, scope = $3, decided_by = $4, decide_time = now(), reason = $5, edited = $6,
    edited_digest = $7, request_id = $8
WHERE permission_id = $1
RETURNING *, state AS stands
"""
REVOKE = """
UPDATE permissions SET
    state = 'revoked', decided_by = $2, decide_time = now(), reason = $3, request_id = $4
WHERE permission_id = $1
RETURNING *, state AS stands
"""
EXPIRE = """
UPDATE permissions SET state = 'expired', decide_time = now()
WHERE run_id = $1 AND state = 'pending' AND expire_time <= now()
RETURNING *, state AS stands
"""
RECORD = """
WITH record AS (
    INSERT INTO run_events (run_id, sequence, owner, payload) VALUES ($1, $2, $3, $4)
)
SELECT pg_notify('run_events', left(($1::uuid)::text, 8))
"""
GO_ON = """
UPDATE runs SET state = 'queued', replica_id = NULL, wait_until = NULL, not_before = NULL, update_time = now()
WHERE run_id = $1 AND state = 'waiting_for_permission'
    AND NOT EXISTS (SELECT FROM permissions p WHERE p.run_id = runs.run_id AND p.state = 'pending')
RETURNING pg_notify('run_queued', '')
"""
IS_DISPLACED = f"SELECT {DISPLACED} FROM runs AS r WHERE run_id = $1"  # noqa: S608 - a constant

# By the first of an index and not by EXISTS, which is planned as a scan that ends at once: it ends nowhere
# when nobody waits.
SOMEBODY_WAITS = """
SELECT (
    SELECT run_id FROM runs WHERE state = 'waiting_for_permission' ORDER BY run_id LIMIT 1
) IS NOT NULL
"""
DUE = LOCKED.format("""
SELECT * FROM runs
WHERE state = 'waiting_for_permission' AND run_id = ANY (ARRAY(
    SELECT run_id FROM permissions WHERE state = 'pending' AND expire_time <= now()
    ORDER BY expire_time LIMIT $1
))
FOR UPDATE SKIP LOCKED
""")
WAITING_CHATS = f"""
SELECT run_id, {DISPLACED} AS displaced FROM (
    SELECT * FROM runs
    WHERE state = 'waiting_for_permission' AND kind = 'chat' AND run_id > $1 ORDER BY run_id LIMIT $2
) AS r ORDER BY run_id
"""  # noqa: S608 - a constant
THESE = LOCKED.format("""
SELECT * FROM runs WHERE state = 'waiting_for_permission' AND run_id = ANY ($1) FOR UPDATE SKIP LOCKED
""")
COUNT_PENDING = "SELECT count(*) FROM permissions WHERE run_id = $1 AND state = 'pending'"

# A chat lets its conversation go: somebody may be in line for it.
SUSPEND = f"""
WITH {FENCE}, stopped AS (
    UPDATE runs SET
        state = 'waiting_for_permission', survives = true, replica_id = NULL, wait_until = NULL,
        not_before = NULL, tries = tries - 1, usage = coalesce($6::jsonb, runs.usage), update_time = now()
    FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
    RETURNING runs.*
), events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT $1, e.sequence, stopped.owner, e.payload
    FROM stopped, unnest($4::bigint[], $5::bytea[]) AS e (sequence, payload)
    ON CONFLICT (run_id, sequence) DO NOTHING
)
SELECT conversation_id, pg_notify('run_events', left(run_id::text, 8)),
    CASE WHEN kind = 'chat' AND EXISTS (
        SELECT FROM runs q
        WHERE q.owner = stopped.owner AND q.conversation_id = stopped.conversation_id AND q.state = 'queued'
    ) THEN pg_notify('run_queued', '') END
FROM stopped
"""  # noqa: S608 - a constant
ASK = """
INSERT INTO permissions (
    permission_id, run_id, owner, conversation_id, tool_call_id, tool_name, operation_type, arguments, digest,
    query, reasoning, safety_level, reversible, allowed_scopes, expire_time
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, now() + make_interval(secs => $15))
ON CONFLICT (permission_id) DO NOTHING
"""
SUSPENDED = """
SELECT state, attempt, (
    SELECT payload FROM run_events e WHERE e.run_id = runs.run_id AND e.sequence = $3
) AS last FROM runs WHERE run_id = $1 AND owner = $2
"""
