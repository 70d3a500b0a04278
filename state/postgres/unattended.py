"""Settling runs that no attempt writes for: the lost ones, and those cancelled while nobody executes them.

Whoever settles has locked the run's row, and takes the next sequence there.
"""

from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import orjson

from state.models import ConversationId, Owner, Record, RunId, RunKind, RunOutcome, RunState, UnattendedRun
from state.sealing import Sealing
from state.usage import Usage

if TYPE_CHECKING:
    from state.postgres.database import Connection

# Around a statement that locks rows of runs: where a log ends is looked up once the row is locked, because an
# append may have been under way until then.
LOCKED = """
WITH locked AS ({})
SELECT run_id, owner, kind, agent_name, conversation_id, state, survives, wants, losses, usage,
    last_sequence(run_id) AS last_sequence
FROM locked
"""

_REQUEUE = """
UPDATE runs SET
    state = 'queued', replica_id = NULL, wait_until = NULL, update_time = now(),
    losses = losses + (replica_id IS DISTINCT FROM $2)::integer
WHERE run_id = $1
RETURNING pg_notify('run_queued', '')
"""
_LAST_RECORD = """
INSERT INTO run_events (run_id, sequence, owner, payload, terminal) VALUES ($1, $2, $3, $4, true)
"""
_END = """
UPDATE runs SET state = $2, error_reason = $3, last_sequence = $4, end_time = now(), update_time = now()
WHERE run_id = $1
RETURNING pg_notify('run_events', left(run_id::text, 8))
"""


def unattended(row: asyncpg.Record) -> UnattendedRun:
    """A row of LOCKED."""
    return UnattendedRun(
        run_id=RunId(row["run_id"].hex),
        owner=Owner(row["owner"]),
        kind=RunKind(row["kind"]),
        agent_name=row["agent_name"],
        conversation_id=ConversationId(row["conversation_id"]),
        state=RunState(row["state"]),
        survives=row["survives"],
        last_sequence=row["last_sequence"],
        wants=row["wants"],
        losses=row["losses"],
        usage=usage_of(row),
    )


def usage_of(row: asyncpg.Record) -> Usage:
    """What the attempts of a run have used that handed it back."""
    return Usage.parsed(None if row["usage"] is None else orjson.loads(row["usage"]))


async def requeue(connection: "Connection", run: UnattendedRun, ours: UUID) -> None:
    """Put it back in line. Its process has died, unless that is `ours`: that only could not write its end."""
    await connection.fetchval(_REQUEUE, UUID(run.run_id), ours)


async def end(
    connection: "Connection", run: UnattendedRun, outcome: RunOutcome, record: Record, *, sealing: Sealing
) -> None:
    """Write its last record and its terminal state."""
    run_id, record = UUID(run.run_id), sealing.record(run.owner, run.run_id, record)
    await connection.execute(_LAST_RECORD, run_id, record.sequence, run.owner, record.payload)
    await connection.fetchval(_END, run_id, outcome.state, outcome.error_reason, record.sequence)
