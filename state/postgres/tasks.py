"""Runs as those see them who ask about them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from state.errors import NotFoundError
from state.models import (
    FinishReason,
    Owner,
    Priority,
    Run,
    RunId,
)
from state.postgres.database import Database
from state.postgres.fence import parse_run_id
from state.postgres.runs import run_of
from state.sealed_text import open_text
from state.sealing import PLAIN, Sealing, of_record, of_request, of_result
from state.tasks import TaskFilter, TaskRow
from state.violations import Resource

_SELECT = """
SELECT run_id, owner, kind, conversation_id, agent_name, state, greatest(tries, 1) AS attempt, create_time,
    coalesce(error_reason, '') AS error_reason, coalesce(result, '') AS result, finish_reason, usage,
    wants, update_time, start_time, end_time, priority, labels, deferrals, retry_of,
    CASE WHEN end_time IS NULL THEN last_sequence(run_id) ELSE last_sequence END AS last_sequence,
    CASE WHEN end_time IS NOT NULL THEN (
        SELECT payload FROM run_events e WHERE e.run_id = r.run_id AND e.terminal
    ) END AS end_record,
    CASE WHEN state = 'queued' THEN coalesce(place_in_line(run_id), 0) ELSE 0 END AS place
FROM runs AS r
"""
_GET = _SELECT + " WHERE owner = $1 AND run_id = $2"
_LIST = (
    _SELECT
    + """
WHERE owner = $1 AND kind = 'task'
    AND ($2::text IS NULL OR conversation_id = $2)
    AND (cardinality($3::text[]) = 0 OR state = ANY ($3))
    AND ($4::timestamptz IS NULL OR create_time > $4)
    AND labels @> $5::jsonb
    AND ($6::timestamptz IS NULL OR (create_time, run_id) < ($6, $7))
ORDER BY create_time DESC, run_id DESC LIMIT $8
"""
)
_REQUEST = "SELECT kind, request FROM runs WHERE owner = $1 AND run_id = $2"


class PostgresTasks:
    """Implements `state.ports.TaskStore`."""

    def __init__(self, callers: Database, *, sealing: Sealing = PLAIN) -> None:
        self._sealing = sealing
        self._callers = callers

    async def get(self, owner: Owner, run_id: RunId) -> TaskRow:
        row = await self._callers.asked_one(_GET, owner, parse_run_id(run_id))
        if row is None:
            raise NotFoundError("no such task", Resource("task", run_id))
        return self._task(row)

    async def list(
        self, owner: Owner, wanted: TaskFilter, *, after: tuple[datetime, RunId] | None, limit: int
    ) -> Sequence[TaskRow]:
        time, run_id = after or (None, None)
        rows = await self._callers.asked(
            _LIST,
            owner,
            wanted.conversation_id,
            list(wanted.states),
            wanted.created_after,
            orjson.dumps(wanted.labels).decode(),
            time,
            run_id and UUID(run_id),
            limit,
        )
        return [self._task(row) for row in rows]

    async def request(self, owner: Owner, run_id: RunId) -> bytes:
        row = await self._callers.asked_one(_REQUEST, owner, parse_run_id(run_id))
        if row is None:
            raise NotFoundError("no such task", Resource("task", run_id))
        return self._sealing.open(of_request(owner, RunId(parse_run_id(run_id).hex)), row["request"])

    def _task(self, row: asyncpg.Record) -> TaskRow:
        run, end = run_of(row), row["end_record"]
        if end is not None:
            end = self._sealing.open(of_record(run.owner, run.run_id, run.last_sequence), end)
        result = open_text(self._sealing, of_result(run.owner, run.run_id), row["result"])
        return _task(row, run, result, end)


def _task(row: asyncpg.Record, run: Run, result: str, end: bytes | None) -> TaskRow:
    return TaskRow(
        run=run,
        result=result,
        finish_reason=FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
        usage=orjson.loads(row["usage"]) if row["usage"] else {},
        update_time=row["update_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        priority=Priority(row["priority"]),
        labels=orjson.loads(row["labels"]),
        deferrals=row["deferrals"],
        retry_of=RunId(row["retry_of"].hex) if row["retry_of"] else None,
        place=row["place"],
        end=end,
    )
