"""Runs in Postgres."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import orjson

from state.errors import CancelledRunError, ConversationBusyError, NotFoundError, Resource
from state.models import (
    Attempt,
    ConversationId,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    Run,
    RunId,
    RunKind,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from state.postgres import unattended
from state.postgres.database import Database
from state.postgres.fence import FENCE, fence_arguments, lost, parse_run_id
from state.postgres.patience import Patience
from state.postgres.unattended import COLUMNS
from state.threads import thread_id
from state.usage import Usage

if TYPE_CHECKING:
    from state.postgres.database import Connection

# What the index runs_one_active is about; the planner finds it by this text.
HOLDS = """
(
    state IN ('running', 'cancelling')
    OR (state = 'queued' AND (kind = 'chat' OR attempt > 0))
    OR (state = 'waiting_for_permission' AND kind = 'task')
)
"""

_BEGIN = f"""
WITH run AS (
    INSERT INTO runs (
        run_id, owner, kind, conversation_id, agent_name, state, attempt, request, start_time,
        replica_id, survives, wants, wait_until
    )
    VALUES (
        $1, $2, $3, $4, $5, 'running', 1, $6, now(), $9, $10, $11, now() + make_interval(secs => $13)
    )
    ON CONFLICT (owner, conversation_id) WHERE {HOLDS} DO NOTHING
    RETURNING run_id, owner
), events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT run.run_id, e.sequence, run.owner, e.payload
    FROM run, unnest($7::bigint[], $8::bytea[]) AS e (sequence, payload)
)
SELECT thread_head($12) FROM run
"""  # noqa: S608 - a constant

HOLDER = f"SELECT run_id FROM runs WHERE owner = $1 AND conversation_id = $2 AND {HOLDS}"  # noqa: S608

_FINISH = f"""
WITH {FENCE}, events AS (
    INSERT INTO run_events (run_id, sequence, owner, payload, terminal)
    SELECT $1, e.sequence, fence.owner, e.payload, e.terminal
    FROM fence, unnest($4::bigint[], $5::bytea[], $6::boolean[]) AS e (sequence, payload, terminal)
    ON CONFLICT (run_id, sequence) DO NOTHING
)
UPDATE runs SET
    state = $7, finish_reason = $8, error_reason = nullif($9, ''), result = $10, usage = $11::jsonb,
    last_sequence = $12, end_time = now(), update_time = now()
FROM fence
WHERE runs.run_id = $1 AND (runs.state = 'running' OR $7 = 'cancelled')
RETURNING runs.run_id, pg_notify('run_events', left(runs.run_id::text, 8))
"""  # noqa: S608 - a constant

_REQUEUE = f"""
WITH {FENCE}
UPDATE runs SET
    state = 'queued', replica_id = NULL, wait_until = NULL, update_time = now(),
    usage = coalesce($4::jsonb, runs.usage)
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id, pg_notify('run_queued', '')
"""  # noqa: S608 - a constant

# A chat that its caller waits for stays with its replica, and waits no longer than it was going to.
_DEFER = f"""
WITH {FENCE}
UPDATE runs SET
    state = 'queued', deferrals = deferrals + 1, update_time = now(), usage = coalesce($4::jsonb, runs.usage),
    replica_id = CASE WHEN survives THEN NULL ELSE replica_id END,
    wait_until = CASE WHEN kind = 'chat' THEN wait_until END
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
RETURNING runs.run_id, pg_notify('run_queued', '')
"""  # noqa: S608 - a constant

# A running run is never cancelled in one step: the table of transitions knows only this way.
_MARK_CANCELLING = f"""
WITH {FENCE}
UPDATE runs SET state = 'cancelling', update_time = now()
FROM fence WHERE runs.run_id = $1 AND runs.state = 'running'
"""  # noqa: S608 - a constant

_LOCK = f"SELECT {COLUMNS} FROM runs WHERE owner = $1 AND run_id = $2 FOR UPDATE"  # noqa: S608 - a constant
_ASK_TO_END = """
UPDATE runs SET state = 'cancelling', update_time = now() WHERE run_id = $1
RETURNING pg_notify('run_cancels', replace(run_id::text, '-', ''))
"""

_STANDS = "SELECT state, last_sequence FROM runs WHERE run_id = $1 AND owner = $2 AND attempt = $3"

_SELECT = """
SELECT run_id, owner, kind, conversation_id, agent_name, state, attempt, create_time,
    coalesce(error_reason, '') AS error_reason,
    greatest(
        last_sequence, (SELECT coalesce(max(sequence), 0) FROM run_events e WHERE e.run_id = runs.run_id)
    ) AS last_sequence
FROM runs
"""
_GET = _SELECT + " WHERE owner = $1 AND run_id = $2"
_LATEST = (
    _SELECT + " WHERE owner = $1 AND conversation_id = $2 ORDER BY create_time DESC, run_id DESC LIMIT 1"
)


class PostgresRunStore:
    """Implements `state.ports.RunStore`. Only the end of a run waits for a database that is away."""

    def __init__(self, database: Database, replica_id: ReplicaId, patience: Patience | None = None) -> None:
        self._database = database
        self._replica_id = replica_id
        self._patience = patience or Patience(0.0)

    async def begin(self, run: NewRun, first: Sequence[Record]) -> Attempt:
        async with self._database.connection() as connection:
            while (head := await self._begun(connection, run, first)) is None:
                holder = await connection.fetchval(HOLDER, run.owner, run.conversation_id)
                if holder is not None:  # else it has ended between the two
                    raise ConversationBusyError(RunId(holder.hex))
        return Attempt(run.owner, run.run_id, 1, head)

    async def _begun(self, connection: "Connection", run: NewRun, first: Sequence[Record]) -> int | None:
        """Where the run's thread stands; None when somebody else holds the conversation."""
        head: int | None = await connection.fetchval(
            _BEGIN,
            UUID(run.run_id),
            run.owner,
            run.kind,
            run.conversation_id,
            run.agent_name,
            run.request,
            [r.sequence for r in first],
            [r.payload for r in first],
            UUID(self._replica_id),
            run.survives,
            run.wants,
            thread_id(run.owner, run.conversation_id),
            run.wait_seconds,
        )
        return head

    async def requeue(self, attempt: Attempt, usage: Usage | None = None) -> None:
        async with self._database.connection() as connection:
            done = await connection.fetchval(_REQUEUE, *fence_arguments(attempt), _json(usage))
        if done is None:
            raise lost(attempt)

    async def defer(self, attempt: Attempt, usage: Usage | None = None) -> None:
        async with self._database.connection() as connection:
            if await connection.fetchval(_DEFER, *fence_arguments(attempt), _json(usage)) is None:
                row = await connection.fetchrow(_STANDS, *fence_arguments(attempt))
                if row is not None and row["state"] == RunState.CANCELLING:
                    raise CancelledRunError("the run was cancelled")
                raise lost(attempt)

    async def finish(self, attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]) -> None:
        await self._patience(lambda: self._finish(attempt, outcome, last))

    async def _finish(self, attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]) -> None:
        async with self._database.connection() as connection, connection.transaction():
            if outcome.state is RunState.CANCELLED:
                await connection.execute(_MARK_CANCELLING, *fence_arguments(attempt))
            done = await connection.fetchval(
                _FINISH,
                *fence_arguments(attempt),
                [r.sequence for r in last],
                [r.payload for r in last],
                [r.terminal for r in last],
                outcome.state,
                outcome.finish_reason,
                outcome.error_reason,
                outcome.result,
                _json(outcome.usage),
                last[-1].sequence,
            )
            if done is None:
                await _explain(connection, attempt, outcome, last[-1].sequence)

    async def cancel(
        self, owner: Owner, run_id: RunId, end: Callable[[UnattendedRun], tuple[RunOutcome, Record]]
    ) -> None:
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK, owner, parse_run_id(run_id))
            if row is None:
                raise NotFoundError("no such run", Resource("run", run_id))
            run = unattended.unattended(row)
            if run.state is RunState.RUNNING:
                await connection.fetchval(_ASK_TO_END, row["run_id"])
            elif run.state in (RunState.QUEUED, RunState.WAITING_FOR_PERMISSION):
                await unattended.end(connection, run, *end(run))

    async def get(self, owner: Owner, run_id: RunId) -> Run:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_GET, owner, parse_run_id(run_id))
        if row is None:
            raise NotFoundError("no such run", Resource("run", run_id))
        return _run(row)

    async def latest(self, owner: Owner, conversation_id: ConversationId) -> Run:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LATEST, owner, conversation_id)
        if row is None:
            raise NotFoundError("no such conversation", Resource("conversation", conversation_id))
        return _run(row)


async def _explain(connection: "Connection", attempt: Attempt, outcome: RunOutcome, sequence: int) -> None:
    """Say why a run could not be finished, unless it was by us: an answer may be lost on its way."""
    row = await connection.fetchrow(_STANDS, *fence_arguments(attempt))
    if row is None or (row["state"], row["last_sequence"]) != (outcome.state, sequence):
        if row is not None and row["state"] == RunState.CANCELLING:
            raise CancelledRunError("the run was cancelled")
        raise lost(attempt)


def _json(usage: Usage | None) -> str | None:
    return None if usage is None else orjson.dumps(asdict(usage)).decode()


def _run(row: asyncpg.Record) -> Run:
    return Run(
        run_id=RunId(row["run_id"].hex),
        owner=Owner(row["owner"]),
        kind=RunKind(row["kind"]),
        conversation_id=ConversationId(row["conversation_id"]),
        agent_name=row["agent_name"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        last_sequence=row["last_sequence"],
        error_reason=row["error_reason"],
        create_time=row["create_time"],
    )
