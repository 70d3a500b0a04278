"""A task as a row of the outage journal, and back."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from state.models import ConversationId, NewRun, Owner, Priority, Record, RequestKey, Route, RunId, RunKind
from state.sealing import PLAIN, Place, Sealing
from state.tasks import SpooledTask

COLUMNS = "run_id, owner, method, request_id, fields, key_digest, request, first"
Row = tuple[str, str, str | None, str | None, str, bytes | None, bytes, bytes]


def row_of(task: SpooledTask, sealing: Sealing = PLAIN) -> Row:
    """The values of COLUMNS."""
    run, key = task.run, task.run.key
    fields = {
        "kind": run.kind,
        "conversation_id": run.conversation_id,
        "agent_name": run.agent_name,
        "survives": run.survives,
        "wants": run.wants,
        "wait_seconds": run.wait_seconds,
        "priority": int(run.priority),
        "lead_seconds": run.lead_seconds,
        "not_before": run.not_before and run.not_before.isoformat(),
        "labels": dict(run.labels),
        "retry_of": run.retry_of,
        "from_start": run.from_start,
        "traceparent": run.traceparent,
        "route": asdict(run.route),
        "accept_time": task.accept_time.isoformat(),
    }
    return (
        run.run_id,
        run.owner,
        key.method if key else None,
        key.request_id if key else None,
        orjson.dumps(fields).decode(),
        key.digest if key else None,
        sealing.seal(_of_request(run.owner, run.run_id), run.request),
        sealing.seal(_of_first(run.owner, run.run_id), task.first.payload),
    )


def task_of(row: sqlite3.Row, sealing: Sealing = PLAIN) -> SpooledTask:
    """A row of COLUMNS and `position`.

    Raises:
        StateUnreadableError: It is sealed, and cannot be opened.
    """
    fields: Mapping[str, Any] = orjson.loads(row["fields"])
    key = RequestKey(row["method"], row["request_id"], row["key_digest"]) if row["request_id"] else None
    run = NewRun(
        run_id=RunId(row["run_id"]),
        owner=Owner(row["owner"]),
        kind=RunKind(fields["kind"]),
        conversation_id=ConversationId(fields["conversation_id"]),
        agent_name=fields["agent_name"],
        request=sealing.open(_of_request(row["owner"], row["run_id"]), row["request"]),
        survives=fields["survives"],
        wants=fields["wants"],
        wait_seconds=fields["wait_seconds"],
        priority=Priority(fields["priority"]),
        lead_seconds=fields["lead_seconds"],
        not_before=fields["not_before"] and datetime.fromisoformat(fields["not_before"]),
        labels=fields["labels"],
        retry_of=fields["retry_of"] and RunId(fields["retry_of"]),
        from_start=fields.get("from_start", False),
        traceparent=fields.get("traceparent", ""),
        key=key,
        route=Route(**fields.get("route", {})),
    )
    accept_time = datetime.fromisoformat(fields["accept_time"])
    first = sealing.open(_of_first(run.owner, run.run_id), row["first"])
    return SpooledTask(run, Record(1, first), accept_time, row["position"])


def size_of(row: Row) -> int:
    """How much a row holds, bytes."""
    return sum(len(_bytes(value)) for value in row)


def digest(row: Sequence[str | bytes | None]) -> bytes:
    """Of all values, and of where each one ends: the file's own structure does not protect them."""
    found = hashlib.sha256()
    for value in row:
        part = _bytes(value)
        found.update(b"%d:" % (-1 if value is None else len(part)) + part)
    return found.digest()


def _of_request(owner: Owner, run_id: RunId) -> Place:
    return ("journal.request", owner, run_id)


def _of_first(owner: Owner, run_id: RunId) -> Place:
    return ("journal.first", owner, run_id)


def _bytes(value: str | bytes | None) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else value
