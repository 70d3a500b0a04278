"""What the journal holds becomes runs when Postgres is back: oldest first, and each once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from state.models import Joining, RequestKey, RunKind
from state.postgres.database import Database
from state.postgres.drain import PostgresDrain
from state.tasks import SpooledTask
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.journal import Outage, journalled
from tests.harness.narrow import answering, narrow, said
from tests.harness.runs import new_run, records
from tests.harness.service import collect
from tests.integration.tasks.asking import ended, refused, start, status

SLOW = """
CREATE FUNCTION orchestrator.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
-- Deferred: it is the commit that takes long, and nothing stops it once it has begun.
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orchestrator.runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION orchestrator.slow();
"""
ASLEEP = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
END_IT = ASLEEP.replace("SELECT", "SELECT pg_terminate_backend(pid)")
RUNS = "SELECT run_id, state, create_time FROM orchestrator.runs ORDER BY create_time"


async def test_tasks_are_drained_oldest_first_and_each_is_done_once(outage: Outage) -> None:
    before = await outage.start("before")
    await ended(outage.service, before.task_id)
    await outage.proxy.cut()
    tasks = [await outage.start(f"{n}", conversation_id="c1") for n in range(8)]
    await outage.proxy.restore()
    for task in tasks:
        done = await ended(outage.service, task.task_id)
        assert (done.state, done.attempt) == (pb.TASK_STATE_SUCCEEDED, 1)
        assert "spooled" not in done.metadata
    assert said(outage.service.provider) == ["before", *map(str, range(8))]
    rows = await outage.rows(RUNS)
    assert [row["run_id"].hex for row in rows] == [before.task_id, *[task.task_id for task in tasks]]


async def test_nobody_overtakes_what_waits_in_the_journal_of_the_same_user(outage: Outage) -> None:
    await outage.proxy.cut()
    first = [await outage.start(f"{n}", conversation_id="c1") for n in range(4)]
    await outage.rows(SLOW)
    await outage.proxy.restore()
    await _asleep(outage)
    second = [await outage.start(f"{n}", conversation_id="c1") for n in range(4, 6)]
    for task in (*first, *second):
        await ended(outage.service, task.task_id)
    assert [row["run_id"].hex for row in await outage.rows(RUNS)] == [t.task_id for t in (*first, *second)]
    assert said(outage.service.provider) == [f"{n}" for n in range(6)]


async def test_a_spooled_task_has_a_log_as_any(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start("work")
    await outage.proxy.restore()
    await ended(outage.service, task.task_id)
    request = pb.WatchTaskRequest(user_id="ann", task_id=task.task_id)
    events = [event async for event in outage.service.stub.WatchTask(request)]
    chunks = [event.chunk for event in events if event.HasField("chunk")]
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert chunks[0].status.state == pb.TASK_STATE_QUEUED
    assert chunks[0].metadata["conversation_id"] == task.conversation_id


@pytest.mark.parametrize("query", ["work", "other work"])
async def test_the_loser_of_a_request_id_ends_as_rejected_and_names_the_winner(
    dsn: str, provider: ScriptedProvider, folder: Path, query: str
) -> None:
    async with (
        narrow(dsn, provider, folder) as elsewhere,
        journalled(dsn, provider, folder) as outage,
    ):
        await outage.proxy.cut()
        spooled = await outage.start("work", request_id="r1")
        winner = await start(elsewhere, query, request_id="r1")
        await outage.proxy.restore()
        lost = await ended(outage.service, spooled.task_id)
        assert (lost.state, lost.status, lost.error.reason) == (
            pb.TASK_STATE_FAILED,
            "failed",
            "REJECTED_AT_DRAIN",
        )
        assert lost.error.metadata["run_id"] == winner.task_id
        assert lost.last_sequence == 2
        accepted, begun = (task.create_time.ToNanoseconds() for task in (lost, winner))
        assert accepted < begun
        assert (await ended(elsewhere, winner.task_id)).state == pb.TASK_STATE_SUCCEEDED
        again = await outage.start(query, request_id="r1")
        assert (again.task_id, again.deduplicated) == (winner.task_id, True)
    assert said(provider) == [query]


@pytest.mark.parametrize("late", [False, True], ids=["committed at once", "committed while it is drained"])
@pytest.mark.parametrize("place", ["provider", "line"])
async def test_a_task_whose_commit_nobody_heard_of_is_not_begun_again(
    dsn: str, provider: ScriptedProvider, folder: Path, place: str, late: bool
) -> None:
    """Its row is being committed when the connection breaks: the journal takes it as well."""
    async with journalled(dsn, provider, folder, calls=1) as outage:
        running = await answering(outage.service) if place == "line" else None
        await outage.rows(SLOW)
        starting = asyncio.create_task(outage.start("work", request_id="r1"))
        await _asleep(outage)
        await outage.proxy.cut()
        task = await starting
        assert task.metadata["spooled"] == "true"
        if not late:
            await _written(outage, task.task_id)
        await outage.proxy.restore()
        if running is not None:
            provider.release()
            await collect(running, [])
        assert (await ended(outage.service, task.task_id)).state == pb.TASK_STATE_SUCCEEDED
        rows = [row["run_id"].hex for row in await outage.rows(RUNS + " DESC")]
        assert rows.count(task.task_id) == 1
        assert len(rows) == (2 if running else 1)


async def test_a_task_is_drained_again_whose_draining_was_cut_off(outage: Outage) -> None:
    await outage.proxy.cut()
    tasks = [await outage.start(f"{n}", request_id=f"r{n}") for n in range(3)]
    await outage.rows(SLOW)
    await outage.proxy.restore()
    await _asleep(outage)
    await outage.proxy.cut()
    await outage.proxy.restore()
    for task in tasks:
        assert (await ended(outage.service, task.task_id)).state == pb.TASK_STATE_SUCCEEDED
    assert len(await outage.rows(RUNS)) == 3
    assert said(outage.service.provider) == ["0", "1", "2"]


async def test_a_task_is_drained_again_whose_draining_was_undone(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start()
    await outage.rows(SLOW)
    await outage.proxy.restore()
    await _asleep(outage)
    await outage.rows(END_IT)
    assert (await ended(outage.service, task.task_id)).state == pb.TASK_STATE_SUCCEEDED


@pytest.mark.parametrize("key", [None, RequestKey("StartTask", "r1", b"digest")])
async def test_what_is_drained_many_times_is_one_run(dsn: str, key: RequestKey | None) -> None:
    run = replace(new_run(), kind=RunKind.TASK, survives=True, key=key)
    task = SpooledTask(run, records(1)[0], datetime.now(UTC))
    joining = Joining(5.0, 10, 5)
    async with Database(dsn, schema="orchestrator", pool_size=5) as database:
        store = PostgresDrain(database)
        await asyncio.gather(*(store.commit(task, joining, lambda: 1.0) for _ in range(5)))
        await store.commit(task, joining, lambda: 1.0)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM runs") == 1
            assert await connection.fetchval("SELECT count(*) FROM run_events") == 1


async def test_the_time_in_the_journal_counts_as_waiting(outage: Outage) -> None:
    """Nobody begins it, not even with room for it."""
    await outage.proxy.cut()
    task = await outage.start(queue_timeout=Duration(nanos=300_000_000))
    other = await outage.start("other")
    await asyncio.sleep(0.4)
    await outage.proxy.restore()
    late = await ended(outage.service, task.task_id)
    assert (late.state, late.error.reason) == (pb.TASK_STATE_EXPIRED, "DEADLINE_EXCEEDED")
    assert (await ended(outage.service, other.task_id)).state == pb.TASK_STATE_SUCCEEDED


async def test_what_was_left_of_its_time_is_left_after_the_journal(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start(queue_timeout=Duration(seconds=60))
    await outage.proxy.restore()
    await ended(outage.service, task.task_id)
    [row] = await outage.rows("SELECT wait_until - create_time AS wait FROM orchestrator.runs")
    assert row["wait"] == timedelta(seconds=60)


async def test_a_task_that_postgres_refuses_keeps_no_other_from_being_drained(outage: Outage) -> None:
    await outage.rows("ALTER TABLE orchestrator.runs ADD CONSTRAINT no_bob CHECK (owner <> 'bob') NOT VALID")
    await outage.proxy.cut()
    kept = await outage.start(user_id="bob")
    taken = await outage.start()
    await outage.proxy.restore()
    assert (await ended(outage.service, taken.task_id)).state == pb.TASK_STATE_SUCCEEDED
    assert (await status(outage.service, kept.task_id, "bob")).metadata["spooled"] == "true"
    cancel = outage.service.stub.CancelTask(pb.CancelTaskRequest(user_id="bob", task_id=kept.task_id))
    assert (await refused(cancel)).code() is grpc.StatusCode.UNAVAILABLE
    answer = await outage.health()
    assert (answer.status, answer.details["tasks_in_journal"]) == ("degraded", "1")


@pytest.mark.parametrize("seconds", [0.05, 5.0])
async def test_a_database_that_is_away_is_tried_as_often_as_the_setting_says(
    dsn: str, provider: ScriptedProvider, folder: Path, seconds: float
) -> None:
    async with journalled(dsn, provider, folder, journal={"retry_seconds": seconds}) as outage:
        await outage.proxy.cut()
        await outage.start()
        await outage.proxy.restore()
        await asyncio.sleep(1.0)
        drained = len(await outage.rows(RUNS))
    assert drained == (1 if seconds < 1 else 0)


async def _written(outage: Outage, task_id: str) -> None:
    """Return when the task's run is committed."""
    async with asyncio.timeout(5):
        while task_id not in [row["run_id"].hex for row in await outage.rows(RUNS)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _asleep(outage: Outage) -> None:
    """Return when a run is being written, slowly."""
    async with asyncio.timeout(5):
        while not await outage.rows(ASLEEP):  # noqa: ASYNC110 - the database's own table
            await asyncio.sleep(0.01)
