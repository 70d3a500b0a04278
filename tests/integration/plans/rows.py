"""Many rows in every large table, made by Postgres itself in one go, without triggers."""

import asyncpg

OWNERS = 500
BUSY = 400
"""So many runs are running, so many tasks and chats wait for a person; a fifth of the others is queued."""
OF_A_THREAD = 10
LARGE = frozenset(
    {
        "runs",
        "run_events",
        "checkpoints",
        "checkpoint_blobs",
        "checkpoint_writes",
        "permissions",
        "permission_audit",
        "outbox",
        "usage_sums",
        "request_keys",
        "effects",
    }
)


def uuid(number: int) -> str:
    """Of the run, the permission and the effect of this number."""
    return f"00000000-0000-4000-8000-{number:012x}"


_ID = "('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid"
_OWNER = f"'u' || i % {OWNERS}"
_THREAD = f"'t' || i / {OF_A_THREAD}"
_THREADS_OWNER = f"'u' || i / {OF_A_THREAD} % {OWNERS}"
_AGE = "now() - make_interval(secs => i * 20)"
_MADE = (
    f"""
    INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, attempt, request, wants, rank,
        create_time, start_time, update_time, end_time, last_sequence, replica_id, survives, tries,
        thread_pruned, log_pruned)
    SELECT {_ID}, {_OWNER}, CASE WHEN i > {2 * BUSY} AND i <= {3 * BUSY} THEN 'chat' ELSE 'task' END,
        CASE WHEN s.state = 'succeeded' THEN 'c' || i / 5000 ELSE 'a' || i END, 'chat', s.state,
        (s.state <> 'queued')::integer, 'q', 'class:' || i / 20 % 2, {_AGE}, {_AGE},
        CASE WHEN s.state <> 'queued' THEN {_AGE} END, {_AGE},
        CASE WHEN s.state = 'succeeded' THEN {_AGE} END, 1,
        CASE WHEN s.state = 'running' THEN {_ID} END, true, 1, i % 3 = 0, i % 3 = 0
    FROM generate_series(1, $1) AS i CROSS JOIN LATERAL (SELECT CASE
        WHEN i <= {BUSY} THEN 'running' WHEN i <= {3 * BUSY} THEN 'waiting_for_permission'
        WHEN i % 20 < 4 THEN 'queued' ELSE 'succeeded' END AS state) AS s
    """,  # noqa: S608 - constants
    f"""
    INSERT INTO run_events (run_id, sequence, owner, payload, terminal)
    SELECT {_ID}, 1, {_OWNER}, 'p', i > {3 * BUSY} AND i % 20 >= 4 FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, owner, follows)
    SELECT {_THREAD}, '', i::text, '{{"v": 4, "channel_versions": {{"m": "1"}}}}', {_THREADS_OWNER}, i - 1
    FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob, owner)
    SELECT {_THREAD}, '', 'm', i::text, 'x', 'b', {_THREADS_OWNER} FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, blob,
        owner)
    SELECT {_THREAD}, '', i::text, 't', 0, 'm', 'b', {_THREADS_OWNER} FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO permissions (permission_id, run_id, owner, conversation_id, tool_call_id, tool_name,
        operation_type, arguments, digest, query, reasoning, safety_level, reversible, allowed_scopes,
        create_time, expire_time, state, scope)
    SELECT {_ID}, {_ID}, {_OWNER}, 'a' || i, {_ID}, 'tool', 'file_write', '', encode(sha256(''), 'hex'),
        '', '', 'low', true, '{{once}}', {_AGE}, now() + interval '1 day',
        CASE WHEN i > {BUSY} AND i <= {3 * BUSY} THEN 'pending' ELSE 'approved' END,
        CASE WHEN i % 100 = 0 THEN 'conversation' ELSE 'once' END
    FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO permission_audit (permission_id, owner, actor, action, scope, digest, reason, request_id)
    SELECT {_ID}, {_OWNER}, '', 'asked', 'once', '', '', 'r' || i FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO outbox (run_id, owner, type, create_time)
    SELECT {_ID}, {_OWNER}, 'run.queued', {_AGE} FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO usage_sums (owner, since, agent_name, provider, model, currency, runs)
    SELECT {_OWNER}, {_AGE}, 'chat', 'p', 'm', 'EUR', 1 FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO request_keys (owner, method, request_id, digest, run_id, create_time)
    SELECT {_OWNER}, 'StartTask', 'r' || i, 'd', {_ID}, {_AGE} FROM generate_series(1, $1) AS i
    """,  # noqa: S608
    f"""
    INSERT INTO effects (tool_call_id, run_id, owner, tool_name, digest, permission_ids, attempt, beginning)
    SELECT {_ID}, {_ID}, {_OWNER}, 'tool', '', '{{}}', 1, {_ID} FROM generate_series(1, $1) AS i
    """,  # noqa: S608
)


async def fill(dsn: str, rows: int) -> None:
    """So many rows in each table of LARGE, as autovacuum would leave them."""
    settings = {"search_path": "orchestrator", "session_replication_role": "replica", "work_mem": "64MB"}
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        for statement in _MADE:
            await connection.execute(statement, rows)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
