"""Runs and their log in Postgres: what is committed, by whom, and what never changes again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID, uuid4

import asyncpg
import pytest

from state.errors import (
    CancelledRunError,
    ConversationBusyError,
    DatabaseUnavailableError,
    LostAttemptError,
    NotFoundError,
)
from state.event_log import EventLog
from state.models import (
    Attempt,
    ConversationId,
    FinishReason,
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
from state.postgres.database import Database
from state.postgres.events import PostgresEventStore
from state.postgres.listener import EVENTS, Listener
from state.postgres.runs import PostgresRunStore
from state.threads import thread_id
from tests.harness.proxy import TcpProxy

ANN = Owner("ann")
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO runs%'
"""
REPLICA = ReplicaId("0" * 32)
SUCCEEDED = RunOutcome(RunState.SUCCEEDED, FinishReason.STOP, result="done")
CANCELLED = RunOutcome(RunState.CANCELLED, error_reason="CANCELLED")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


def new_run(owner: Owner = ANN, conversation: str = "") -> NewRun:
    """Of a conversation of its own, unless told."""
    run_id = uuid4().hex
    return NewRun(
        RunId(run_id), owner, RunKind.CHAT, ConversationId(conversation or run_id), "chat", b"request"
    )


def records(*sequences: int) -> list[Record]:
    return [Record(sequence, f"chunk {sequence}".encode()) for sequence in sequences]


def last(sequence: int) -> list[Record]:
    return [Record(sequence, b"end", terminal=True)]


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


async def test_a_record_that_is_written_again_changes_nothing(database: Database) -> None:
    events = PostgresEventStore(database)
    attempt = await PostgresRunStore(database, REPLICA).begin(new_run(), records(1))
    await events.append(attempt, [Record(1, b"other"), *records(2)])
    read = await events.read(ANN, attempt.run_id, 0, 100)
    assert [record.payload for record in read] == [b"chunk 1", b"chunk 2"]


async def test_appends_of_many_runs_share_statements(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), CountingStatements(database)
    attempts = await asyncio.gather(*(runs.begin(new_run(), []) for _ in range(50)))
    for sequence in range(1, 6):
        await asyncio.gather(*(events.append(attempt, records(sequence)) for attempt in attempts))
    assert events.statements <= 15
    for attempt in attempts:
        read = await events.read(ANN, attempt.run_id, 0, 100)
        assert [record.sequence for record in read] == [1, 2, 3, 4, 5]


async def test_a_stale_writer_in_a_shared_statement_fails_alone(database: Database) -> None:
    """Both attempts of one run, and other runs, are in one batch."""
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    good = [await runs.begin(new_run(), []) for _ in range(3)]
    stale = Attempt(good[0].owner, good[0].run_id, 0)
    outcomes = await asyncio.gather(
        *(events.append(attempt, records(1)) for attempt in (*good, stale)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [LostAttemptError]


async def test_a_bad_record_in_a_shared_statement_fails_alone(database: Database) -> None:
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempts = [await runs.begin(new_run(), []) for _ in range(3)]
    batches = [records(1), [Record(-1, b"no sequence")], records(1)]
    outcomes = await asyncio.gather(
        *(events.append(attempt, batch) for attempt, batch in zip(attempts, batches, strict=True)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncpg.CheckViolationError, type(None)]


class CountingStatements(PostgresEventStore):
    """The real store, counting the statements that write."""

    statements = 0

    async def _write(self, batch: Sequence[tuple[Attempt, Sequence[Record]]]) -> Sequence[Exception | None]:
        self.statements += 1
        return await super()._write(batch)


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


async def read_all(log: EventLog, run_id: RunId, after: int = 0) -> list[int]:
    async with aclosing(log.read(ANN, run_id, after)) as read:
        return [record.sequence async for record in read if record is not None]


async def test_a_reader_sees_everything_however_far_the_tail_reaches(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    for tail_records in (1, 3, 100):
        log = EventLog(PostgresEventStore(database), tail_records=tail_records)
        run = new_run()
        log.open(run.run_id)
        attempt = await runs.begin(run, records(1))
        log.publish(run.run_id, records(1))
        early = asyncio.create_task(read_all(log, run.run_id))
        for sequence in range(2, 30):
            await log.append(attempt, records(sequence))
        await runs.finish(attempt, SUCCEEDED, last(30))
        log.publish(run.run_id, last(30))
        late = asyncio.create_task(read_all(log, run.run_id, after=10))
        log.close(run.run_id)
        afterwards = await read_all(log, run.run_id)
        assert await early == afterwards == list(range(1, 31))
        assert await late == list(range(11, 31))


async def test_a_run_of_another_process_is_read_from_the_store(database: Database) -> None:
    runs, theirs = PostgresRunStore(database, REPLICA), EventLog(PostgresEventStore(database))
    ours = EventLog(PostgresEventStore(database), poll_seconds=0.01)
    attempt = await runs.begin(new_run(), records(1))
    reading = asyncio.create_task(read_all(ours, attempt.run_id))
    await theirs.append(attempt, records(2))
    await runs.finish(attempt, SUCCEEDED, last(3))
    assert await asyncio.wait_for(reading, 5) == [1, 2, 3]


async def test_a_reader_in_another_process_is_told_and_need_not_ask(dsn: str, database: Database) -> None:
    """With a poll of a minute, only the notifications can wake it."""
    runs, theirs = PostgresRunStore(database, REPLICA), EventLog(PostgresEventStore(database))
    ours = EventLog(PostgresEventStore(database), poll_seconds=60)
    attempt = await runs.begin(new_run(), records(1))
    async with Listener(dsn, {EVENTS: ours.wake}) as listener:
        await listener.hearing()
        async with asyncio.timeout(5), aclosing(ours.read(ANN, attempt.run_id)) as read:
            assert (await anext(read)) == records(1)[0]
            waiting = asyncio.ensure_future(anext(read))
            await asyncio.sleep(0)
            await theirs.append(attempt, records(2))
            assert await waiting == records(2)[0]
            waiting = asyncio.ensure_future(anext(read))
            await asyncio.sleep(0)
            await runs.finish(attempt, SUCCEEDED, last(3))
            assert await waiting == last(3)[0]


async def test_a_listener_hears_again_after_its_connection_was_lost(dsn: str, database: Database) -> None:
    heard: asyncio.Queue[list[str]] = asyncio.Queue()
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    attempt = await runs.begin(new_run(), [])
    async with (
        TcpProxy.to(dsn) as proxy,
        Listener(proxy.dsn, {EVENTS: lambda h: heard.put_nowait(list(h))}) as listener,
    ):
        await listener.hearing()
        await proxy.cut()
        await proxy.restore()
        await listener.hearing()
        await events.append(attempt, records(1))
        assert await asyncio.wait_for(heard.get(), 5) == [attempt.run_id[:8]]


async def test_readers_learn_that_the_writer_lost_its_database(database: Database) -> None:
    log = EventLog(PostgresEventStore(database))
    run = new_run()
    log.open(run.run_id)
    reading = asyncio.create_task(read_all(log, run.run_id))
    await asyncio.sleep(0)
    log.close(run.run_id, DatabaseUnavailableError("gone"))
    with pytest.raises(DatabaseUnavailableError):
        await asyncio.wait_for(reading, 5)


async def test_a_cut_connection_is_our_own_error_and_the_pool_heals(dsn: str) -> None:
    async with TcpProxy.to(dsn) as proxy, Database(proxy.dsn, schema="orchestrator", pool_size=2) as database:
        await proxy.cut()
        for _ in range(3):
            with pytest.raises(DatabaseUnavailableError):
                await database.probe()
        await proxy.restore()
        await database.probe()


async def test_the_wait_for_a_free_connection_is_bounded(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1, acquire_seconds=0.1) as database:
        async with database.connection():
            with pytest.raises(DatabaseUnavailableError):
                await database.probe()
        await database.probe()


async def test_a_statement_that_takes_too_long_is_our_own_error(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1, statement_seconds=0.2) as database:
        with pytest.raises(DatabaseUnavailableError):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
        await database.probe()
