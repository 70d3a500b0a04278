"""Runs in Postgres: what is committed, by whom, and what never changes again."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from state.errors import (
    CancelledRunError,
    ConversationBusyError,
    LostAttemptError,
    NotFoundError,
)
from state.models import (
    Attempt,
    ConversationId,
    Owner,
    Record,
    Run,
    RunId,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from state.postgres.database import Database
from state.postgres.events import PostgresEventStore
from state.postgres.runs import PostgresRunStore
from state.postgres.unattended import LOCKED
from state.threads import thread_id
from tests.harness.runs import ANN, CANCELLED, REPLICA, SUCCEEDED, last, new_run, records

WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO runs%'
"""


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


async def until_it_waits(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return when somebody waits for a lock in this database."""
    waiting = WAITS.partition(" AND query")[0]
    async with asyncio.timeout(5):
        while True:
            if await connection.fetchval(waiting):
                return
            await asyncio.sleep(0.01)


async def stored(database: Database, attempt: Attempt) -> Run:
    return await PostgresRunStore(database, REPLICA).get(attempt.owner, attempt.run_id)


async def test_a_run_begins_running_in_its_first_attempt_with_its_first_records(database: Database) -> None:
    run = new_run()
    attempt = await PostgresRunStore(database, REPLICA).begin(run, records(1, 2))
    assert attempt == Attempt(ANN, run.run_id, 1)
    found = await stored(database, attempt)
    assert (found.state, found.attempt, found.last_sequence) == (RunState.RUNNING, 1, 2)


async def test_finishing_commits_state_and_last_records_together(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempt = await runs.begin(new_run(), records(1))
    await events.append(attempt, records(2))
    await runs.finish(attempt, SUCCEEDED, last(3))
    found = await stored(database, attempt)
    assert (found.state, found.last_sequence) == (RunState.SUCCEEDED, 3)
    read = await events.read(ANN, attempt.run_id, 0, 100)
    assert [(r.sequence, r.terminal) for r in read] == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize("first", [SUCCEEDED, CANCELLED])
async def test_a_terminal_state_never_changes(database: Database, first: RunOutcome) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    await runs.finish(attempt, first, last(1))
    for outcome in (SUCCEEDED, CANCELLED):
        with pytest.raises(LostAttemptError):
            await runs.finish(attempt, outcome, last(2))
    assert (await stored(database, attempt)).state is first.state


async def test_an_end_that_somebody_else_wrote_is_not_taken_for_ones_own(database: Database) -> None:
    """As a reaper does while the worker sleeps: in the same state, at the same sequence."""
    runs, failed = PostgresRunStore(database, REPLICA), RunOutcome(RunState.FAILED, error_reason="INTERNAL")
    attempt = await runs.begin(new_run(), [])
    await runs.finish(attempt, failed, [Record(1, b"its process has died", terminal=True)])
    with pytest.raises(LostAttemptError):
        await runs.finish(attempt, failed, [Record(1, b"its model has failed", terminal=True)])
    await runs.finish(attempt, failed, [Record(1, b"its process has died", terminal=True)])


async def test_where_a_log_ends_is_looked_up_once_its_run_is_locked(database: Database, dsn: str) -> None:
    attempt = await PostgresRunStore(database, REPLICA).begin(new_run(), records(1))
    run_id = UUID(attempt.run_id)
    locking = LOCKED.format("SELECT * FROM runs WHERE run_id = $1 FOR UPDATE")
    writer = await asyncpg.connect(dsn, server_settings={"search_path": "orchestrator"})
    async with database.connection() as connection:
        async with writer.transaction():
            await writer.execute("SELECT FROM runs WHERE run_id = $1 FOR SHARE", run_id)
            await writer.execute("INSERT INTO run_events VALUES ($1, 2, 'ann', '')", run_id)
            locked = asyncio.create_task(connection.fetchrow(locking, run_id))
            await until_it_waits(writer)
        row = await locked
    await writer.close()
    assert row is not None
    assert row["last_sequence"] == 2


def never(run: UnattendedRun) -> tuple[RunOutcome, Record]:
    raise AssertionError(f"{run.run_id} is attended")


async def test_a_run_that_is_being_cancelled_can_end_in_no_other_way(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempt = await runs.begin(new_run(), records(1))
    await runs.cancel(ANN, attempt.run_id, never)
    with pytest.raises(CancelledRunError):
        await runs.finish(attempt, SUCCEEDED, last(2))
    assert await events.read(ANN, attempt.run_id, 0, 100) == records(1)
    await runs.finish(attempt, CANCELLED, last(2))
    assert (await stored(database, attempt)).state is RunState.CANCELLED


async def test_an_end_may_be_written_again_when_its_answer_was_lost(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    for _ in range(2):
        await runs.finish(attempt, SUCCEEDED, last(1))
    with pytest.raises(LostAttemptError):
        await runs.finish(attempt, CANCELLED, last(1))


async def test_cancelling_changes_nothing_for_an_ended_run_and_finds_nobody_elses(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    with pytest.raises(NotFoundError):
        await runs.cancel(Owner("bob"), attempt.run_id, never)
    await runs.finish(attempt, SUCCEEDED, last(1))
    await runs.cancel(ANN, attempt.run_id, never)
    assert (await stored(database, attempt)).state is RunState.SUCCEEDED


async def test_a_conversation_has_one_active_run(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    first = await runs.begin(new_run(ANN, "c1"), [])
    with pytest.raises(ConversationBusyError) as busy:
        await runs.begin(new_run(ANN, "c1"), records(1))
    assert busy.value.run_id == first.run_id
    await runs.finish(first, SUCCEEDED, last(1))
    await runs.begin(new_run(ANN, "c1"), [])


PUT = """
INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint, owner) VALUES ($1, 'next', '{}', 'ann')
RETURNING position
"""


async def test_a_run_knows_where_its_thread_stood_though_it_waited_for_the_run_before(
    database: Database,
) -> None:
    """The one before writes its last turn and its end in the very moment in which the next one begins."""
    runs = PostgresRunStore(database, REPLICA)
    first = await runs.begin(new_run(ANN, "c1"), [])
    assert first.thread_head == 0
    async with database.connection() as connection, connection.transaction():
        position = await connection.fetchval(PUT, thread_id(ANN, ConversationId("c1")))
        await connection.execute("UPDATE runs SET state = 'failed' WHERE run_id = $1", UUID(first.run_id))
        beginning = asyncio.create_task(runs.begin(new_run(ANN, "c1"), []))
        async with asyncio.timeout(5):
            async with database.connection() as other:
                while not await other.fetchval(WAITS):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    assert (await beginning).thread_head == position


async def test_another_attempt_number_can_neither_append_nor_finish(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempt = await runs.begin(new_run(), records(1))
    stale = Attempt(attempt.owner, attempt.run_id, attempt.number - 1)
    with pytest.raises(LostAttemptError):
        await events.append(stale, records(2))
    with pytest.raises(LostAttemptError):
        await runs.finish(stale, SUCCEEDED, last(2))
    assert (await stored(database, attempt)).last_sequence == 1


async def test_another_owner_can_neither_read_nor_write(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempt = await runs.begin(new_run(), records(1))
    thief = Attempt(Owner("bob"), attempt.run_id, attempt.number)
    with pytest.raises(LostAttemptError):
        await events.append(thief, records(2))
    with pytest.raises(NotFoundError):
        await runs.get(thief.owner, attempt.run_id)
    assert await events.read(thief.owner, attempt.run_id, 0, 100) == []


@pytest.mark.parametrize("run_id", ["0" * 32, "no uuid", ""])
async def test_an_unknown_run_is_not_found(database: Database, run_id: str) -> None:
    with pytest.raises(NotFoundError):
        await PostgresRunStore(database, REPLICA).get(ANN, RunId(run_id))


async def test_a_log_has_one_terminal_record_at_the_most(database: Database) -> None:
    attempt = await PostgresRunStore(database, REPLICA).begin(new_run(), [])
    async with database.connection() as connection:
        columns = "(run_id, sequence, owner, payload, terminal)"
        insert = f"INSERT INTO run_events {columns} VALUES ($1, $2, '', '', true)"  # noqa: S608
        await connection.execute(insert, attempt.run_id, 1)
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(insert, attempt.run_id, 2)


ALL = {
    "queued": {"running", "cancelled", "expired", "failed"},
    "running": {"succeeded", "failed", "expired", "waiting_for_permission", "cancelling", "queued"},
    "waiting_for_permission": {"queued", "cancelled"},
    "cancelling": {"cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
    "expired": set(),
}


@pytest.mark.parametrize("before", RunState)
@pytest.mark.parametrize("after", RunState)
async def test_states_change_only_as_the_design_allows(
    database: Database, before: RunState, after: RunState
) -> None:
    attempt = await PostgresRunStore(database, REPLICA).begin(new_run(), [])
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE runs DISABLE TRIGGER ALL")
        await connection.execute("UPDATE runs SET state = $1", before)
        await connection.execute("ALTER TABLE runs ENABLE TRIGGER ALL")
        change = connection.execute("UPDATE runs SET state = $1", after)
        if after in ALL[before] or after is before:
            await change
        else:
            with pytest.raises(asyncpg.CheckViolationError):
                await change
    assert (await stored(database, attempt)).state is (after if after in ALL[before] else before)
