"""Rows of two owners in every table that has owners, written by the schema's owner."""

from collections.abc import Sequence

import asyncpg

from state.models import Owner

ANN, BOB = Owner("ann"), Owner("bob")
OWNED: Sequence[str] = (
    "runs",
    "run_events",
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
    "usage_sums",
    "request_keys",
    "outbox",
    "permissions",
    "permission_audit",
    "effects",
)

# Triggers write the outbox and the audit.
_ROWS = """
INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request, wants)
VALUES ($1, $2, 'task', 'c1', 'chat', 'queued', 'secret', 'class:nobody');
INSERT INTO run_events (run_id, sequence, owner, payload) VALUES ($1, 1, $2, 'secret');
INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint, owner) VALUES ('t ' || $2, 'same', '{}', $2);
INSERT INTO checkpoint_blobs (thread_id, channel, version, type, owner)
VALUES ('t ' || $2, 'c', '1', 'x', $2);
INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, blob, owner)
VALUES ('t ' || $2, 'same', 't', 0, 'c', '', $2);
INSERT INTO usage_sums (owner, since, agent_name, provider, model, currency, runs)
VALUES ($2, now(), 'chat', '', '', '', 1);
INSERT INTO request_keys (owner, method, request_id, digest, run_id)
VALUES ($2, 'StartTask', 'key', 'd', $1);
INSERT INTO permissions (permission_id, run_id, owner, conversation_id, tool_call_id, tool_name, operation_type,
    arguments, digest, query, reasoning, safety_level, reversible, allowed_scopes, expire_time)
VALUES ($1, $1, $2, 'c1', $1, 'tool', 'file_write', '', encode(sha256(''), 'hex'), '', '', 'low', true,
    '{once}', now() + interval '1 hour');
INSERT INTO effects (tool_call_id, run_id, owner, tool_name, digest, permission_ids, attempt, beginning)
VALUES ($1, $1, $2, 'tool', '', '{}', 1, $1);
"""


async def write(dsn: str, owner: Owner, run_id: str) -> None:
    """One row in each table of OWNED; the run waits in line, and so does its question."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "orchestrator"})
    try:
        async with connection.transaction():
            for statement in _ROWS.split(";\n"):
                if "$1" in statement and "$2" in statement:
                    await connection.execute(_typed(statement), run_id, owner)
                elif "$2" in statement:
                    await connection.execute(_typed(statement).replace("$2", "$1"), owner)
    finally:
        await connection.close()


def _typed(statement: str) -> str:
    return statement.replace("$1", "$1::uuid").replace("$2", "$2::text")
