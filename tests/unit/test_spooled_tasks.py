"""A task in the outage journal is the whole task."""

import sqlite3
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from state.errors import StateUnreadableError
from state.models import ConversationId, NewRun, Owner, Priority, Record, RequestKey, Route, RunId, RunKind
from state.sealing import PLAIN, Sealing, SealingKey
from state.spool.entries import COLUMNS, digest, row_of, size_of, task_of
from state.tasks import SpooledTask

NOW = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
RUN = NewRun(
    run_id=RunId("1" * 32),
    owner=Owner("anné"),
    kind=RunKind.TASK,
    conversation_id=ConversationId("c1"),
    agent_name="chat",
    request=b"\x00request",
    survives=True,
    wants="class:chat",
    wait_seconds=12.5,
    priority=Priority.HIGH,
    lead_seconds=60.0,
    not_before=NOW + timedelta(hours=1),
    labels={"team": "bl\u00fce"},
    retry_of=RunId("2" * 32),
    from_start=True,
    traceparent="00-1",
    key=RequestKey("StartTask", "r1", b"\xffdigest"),
    route=Route("v1", "warm", "keywords"),
)


def read_again(task: SpooledTask, sealing: Sealing = PLAIN) -> SpooledTask:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    values = ", ".join("?" * len(row_of(task)))
    columns = ", ".join(f"{name} BLOB" for name in COLUMNS.split(", "))
    connection.execute(f"CREATE TABLE tasks ({columns})")
    connection.execute(f"INSERT INTO tasks VALUES ({values})", row_of(task, sealing))  # noqa: S608 - constants
    row = connection.execute(f"SELECT 7 AS position, {COLUMNS} FROM tasks").fetchone()  # noqa: S608
    connection.close()
    return task_of(row, sealing)


@pytest.mark.parametrize(
    "run", [RUN, replace(RUN, key=None, not_before=None, retry_of=None, wait_seconds=None, labels={})]
)
def test_a_task_that_is_read_again_is_the_same(run: NewRun) -> None:
    task = SpooledTask(run, Record(1, b"first\x00"), NOW, 7)
    assert read_again(task) == task


def test_no_field_of_a_run_is_left_at_its_default_here() -> None:
    """Else one could be forgotten in the journal."""
    plain = NewRun(RunId(""), Owner(""), RunKind.CHAT, ConversationId(""), "", b"")
    assert [
        field.name for field in fields(NewRun) if getattr(RUN, field.name) == getattr(plain, field.name)
    ] == []


def test_a_value_that_moves_to_its_neighbour_is_another_digest() -> None:
    row = row_of(SpooledTask(RUN, Record(1, b"first"), NOW))
    assert digest(("ab", "c")) != digest(("a", "bc"))
    assert digest((None, "")) != digest(("", None))
    assert digest(row) == digest(row)
    assert size_of(row) > len(RUN.request) + len(b"first")


def test_a_sealed_task_shows_nothing_of_its_request_and_is_read_by_its_key() -> None:
    sealing, task = Sealing([SealingKey("k", bytes(32))]), SpooledTask(RUN, Record(1, b"first"), NOW)
    row = row_of(task, sealing)
    assert not any(isinstance(value, bytes) and (RUN.request in value or b"first" in value) for value in row)
    assert read_again(task, sealing) == read_again(task)
    with pytest.raises(StateUnreadableError):
        Sealing().open(("journal.request", RUN.owner, RUN.run_id), row[-2])
