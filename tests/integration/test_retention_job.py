"""The job: one process at a time, alive whatever the database does, and never reading whole tables."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from orchestrator.lifecycle import PartDiedError, until_stopped
from orchestrator.retention import Retention, RetentionTimes
from state.errors import DatabaseUnavailableError
from state.models import Deleted
from state.postgres import retention_sql as sql
from state.postgres.database import Database
from state.postgres.retention import PostgresRetention
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.proxy import TcpProxy
from tests.harness.retention import (
    HOUR,
    age,
    connected,
    counts,
    delete_old,
    heard_passes,
    retention_store,
    settled_service,
    somebody_waits,
)
from tests.harness.service import Service, running_service

AGES = {"checkpoints_idle_seconds": 60.0, "events_seconds": 60.0, "runs_seconds": 60.0}

MANY = """
INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request, create_time, end_time,
    thread_pruned, log_pruned)
SELECT gen_random_uuid(), 'ann', 'chat', 'c' || n / 5, 'chat', 'succeeded', 'x', now(), now(), false, false
FROM generate_series(1, 5000) AS n;
INSERT INTO run_events (run_id, sequence, owner, payload, terminal)
SELECT run_id, n, 'ann', 'x', n = 10 FROM runs, generate_series(1, 10) AS n;
INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint, owner)
SELECT 't' || n / 20, 'i' || n, '{"v": 4, "channel_versions": {"said": "1"}}', 'ann'
FROM generate_series(1, 20000) AS n;
INSERT INTO checkpoint_blobs (thread_id, channel, version, type, blob, owner)
SELECT thread_id, 'said', checkpoint_id, 'msgpack', 'x', 'ann' FROM checkpoints;
INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, blob, owner)
SELECT thread_id, checkpoint_id, 'task', 0, 'said', 'x', 'ann' FROM checkpoints;
INSERT INTO usage_sums (owner, since, agent_name, provider, model, currency)
SELECT 'ann', now() - n * interval '15 minutes', 'chat', 'p', 'm', 'USD' FROM generate_series(1, 20000) AS n;
"""

THREADS = (["t7", "t8"], ["ann", "ann"], ["c7", "c8"], 60.0)
STATEMENTS: tuple[tuple[str, tuple[object, ...]], ...] = (
    (sql.OLD_RUNS, (HOUR, 100)),
    (sql.LOCK_CHECKPOINTS, (*THREADS, 1000)),
    (sql.DELETE_CHECKPOINTS, (*THREADS, ["t7", "t8"], ["", ""], ["i140", "i160"])),
    (sql.DELETE_WRITES, (*THREADS, 1000)),
    (sql.DELETE_BLOBS, (*THREADS, 1000)),
    (sql.FORGET_PARENTS, THREADS),
    (sql.DELETE_EVENTS, (HOUR, 100, 1000)),
    (sql.DELETE_RUNS, (HOUR, 100)),
    (sql.DELETE_USAGE, (HOUR, 1000)),
)


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    async with settled_service(dsn, provider) as service:
        yield service


async def old_conversations(service: Service) -> None:
    for conversation in ("a", "b", "c"):
        for _ in range(3):
            await service.chat(conversation_id=conversation)
    await age(service.dsn, hours=10)


async def test_processes_that_work_at_once_delete_nothing_twice(service: Service) -> None:
    await old_conversations(service)
    before = await counts(service.dsn)
    with heard_passes() as passes:
        await asyncio.gather(*(delete_old(service.dsn, idle=9, events=9, runs=9) for _ in range(6)))
        await delete_old(service.dsn, idle=9, events=9, runs=9)
    after = await counts(service.dsn)
    deleted: Counter[str] = Counter()
    for one in passes.deleted:
        deleted.update({table: extent["rows"] for table, extent in one.items()})
    assert after == {table: rows - deleted[table] for table, rows in before.items()}
    assert (after["checkpoints"], after["runs"], after["run_events"]) == (3, 0, 0)


async def test_a_process_that_finds_another_one_at_work_leaves_it_the_pass(service: Service) -> None:
    await old_conversations(service)
    before = await counts(service.dsn)
    async with connected(service.dsn) as other, other.transaction():
        assert await other.fetchval(sql.TAKE_TURN)
        with heard_passes() as passes:
            await delete_old(service.dsn, idle=9, events=9, runs=9)
        assert passes.deleted == [{}]
        assert await counts(service.dsn) == before


async def test_what_became_active_while_a_pass_waited_stays_whole(service: Service) -> None:
    """The pass waits for a checkpoint that another transaction holds; a run begins there meanwhile."""
    await old_conversations(service)
    async with connected(service.dsn) as other, retention_store(service.dsn, batch_rows=6) as store:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("DELETE FROM checkpoint_blobs; SELECT FROM checkpoints FOR UPDATE")
        pruning = asyncio.create_task(store.prune_checkpoints(9 * HOUR))
        await somebody_waits(service.dsn)
        await other.execute(
            "INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request)"
            " VALUES (gen_random_uuid(), 'ann', 'chat', 'b', 'chat', 'running', '')"
        )
        await transaction.commit()
        deleted = await pruning
        assert deleted is not None
        assert deleted.tables["checkpoints"].rows == 2 * 2
        assert deleted.more, "what it did not delete was no reason to think that the others were all done"
    assert (await counts(service.dsn))["checkpoints"] == 1 + 3 + 1


class WatchedStore(PostgresRetention):
    """The real store, telling how each first step ended."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    async def prune_checkpoints(self, idle_seconds: float) -> Deleted | None:
        try:
            deleted = await super().prune_checkpoints(idle_seconds)
        except DatabaseUnavailableError:
            self.ends.put_nowait("failed")
            raise
        self.ends.put_nowait("done")
        return deleted

    async def until(self, end: str) -> None:
        async with asyncio.timeout(20):
            while await self.ends.get() != end:
                pass


async def test_the_job_outlives_a_cut_of_its_database(service: Service) -> None:
    await old_conversations(service)
    async with (
        TcpProxy.to(service.dsn) as proxy,
        Database(proxy.dsn, schema="orchestrator", pool_size=1, statement_seconds=2.0) as database,
    ):
        store = WatchedStore(database)
        async with Retention(store, RetentionTimes(0.02, 60.0, 60.0, 1e6, 1e6)):
            await store.until("done")
            await proxy.cut()
            await store.until("failed")
            await service.chat(conversation_id="a")
            await age(service.dsn, hours=10)
            await proxy.restore()
            await store.until("done")
            await store.until("done")  # the pass of the first one is over by now
    after = await counts(service.dsn)
    assert (after["checkpoints"], after["run_events"]) == (3, after["runs"])


@pytest.mark.parametrize("state", ["40P01", "53100", "25006"])
async def test_a_statement_that_fails_in_any_way_ends_no_process(
    service: Service, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    await old_conversations(service)
    async with connected(service.dsn) as connection:
        await connection.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE SQLSTATE '{state}' USING MESSAGE = 'canary'; END $$;"
            "CREATE TRIGGER fail BEFORE DELETE ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        )
    async with Database(service.dsn, schema="orchestrator", pool_size=1) as database:
        store = WatchedStore(database)
        async with Retention(store, RetentionTimes(HOUR, 60.0, 60.0, 60.0, 60.0), retry_seconds=0.02):
            await store.until("failed")
            await store.until("failed")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert {vars(record)["reason"] for record in warnings} == {"DATABASE_UNAVAILABLE"}


class DyingStore(PostgresRetention):
    """A store with a mistake in it."""

    async def prune_events(self, seconds: float) -> Deleted | None:
        raise ZeroDivisionError


async def test_a_job_that_dies_is_named_and_ends_the_process(dsn: str) -> None:
    async with (
        Database(dsn, schema="orchestrator", pool_size=1) as database,
        Retention(DyingStore(database), RetentionTimes(1.0, 60.0, 60.0, 60.0, 60.0)) as job,
    ):
        with pytest.raises(PartDiedError, match="retention has ended"):
            await asyncio.wait_for(until_stopped(asyncio.Event(), {"retention": job.died}), 5)


async def test_a_pass_tells_rows_and_bytes_of_each_table_in_one_line(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider) as service:
        await old_conversations(service)
    before = await counts(dsn)
    with heard_passes() as passes:
        async with running_service(dsn, provider, retention={**AGES, "interval_seconds": 1}):
            await passes.number(2)
    first, second = passes.deleted[:2]
    assert {table: extent["rows"] for table, extent in first.items()} == {
        **{table: before[table] for table in ("runs", "run_events", "checkpoint_blobs")},
        "usage_sums": 0,
        "checkpoints": before["checkpoints"] - 3,
        "checkpoint_writes": before["checkpoint_writes"],
        "checkpoint_blobs": before["checkpoint_blobs"] - (await counts(dsn))["checkpoint_blobs"],
        "outbox": 0,
        "request_keys": 0,
    }
    assert all(extent["bytes"] > 0 for extent in first.values() if extent["rows"])
    assert all(extent["rows"] == 0 for extent in second.values())


@pytest.mark.parametrize("marked", [False, True], ids=["not looked at yet", "already looked at"])
async def test_no_statement_reads_a_whole_table(dsn: str, marked: bool) -> None:
    async with connected(dsn) as connection:
        await connection.execute(MANY)
        if marked:
            await connection.execute("UPDATE runs SET thread_pruned = true, log_pruned = true")
        await connection.execute("ANALYZE")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for statement, arguments in STATEMENTS:
                plan = await connection.fetch("EXPLAIN " + statement, *arguments)
                assert not [row[0] for row in plan if "Seq Scan" in row[0]], statement
