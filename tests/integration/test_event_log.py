"""The logs of runs: appended once, read by everybody, from anywhere."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import asyncpg
import pytest

from state.errors import (
    DatabaseUnavailableError,
    LostAttemptError,
)
from state.event_log import EventLog
from state.models import (
    Attempt,
    Record,
    RunId,
)
from state.postgres.database import Database
from state.postgres.events import PostgresEventStore
from state.postgres.listener import EVENTS, Listener
from state.postgres.runs import PostgresRunStore
from tests.harness.proxy import TcpProxy
from tests.harness.runs import ANN, REPLICA, SUCCEEDED, last, new_run, records


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


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


async def test_an_attempt_that_was_lost_takes_no_reader_from_the_next_one_here(database: Database) -> None:
    """A process was asleep for longer than its lease, wakes up and takes the run again."""
    runs, events = PostgresRunStore(database, REPLICA), PostgresEventStore(database)
    log = EventLog(events, poll_seconds=60)
    run = new_run()
    lost_tail = log.open(run.run_id)
    attempt = await runs.begin(run, records(1))
    log.publish(run.run_id, records(1))
    early = asyncio.create_task(read_all(log, run.run_id))
    await asyncio.sleep(0)
    log.open(run.run_id)
    late = asyncio.create_task(read_all(log, run.run_id))
    log.close(run.run_id, LostAttemptError("attempt 1 does not own the run any more"), tail=lost_tail)
    await log.append(attempt, records(2))
    await runs.finish(attempt, SUCCEEDED, last(3))
    log.publish(run.run_id, last(3))
    assert await asyncio.wait_for(early, 5) == [1, 2, 3]
    assert await asyncio.wait_for(late, 5) == [1, 2, 3]
