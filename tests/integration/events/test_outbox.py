"""The outbox in Postgres: whose turn it is, what is committed late, and what is told once for all."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from state.errors import QueueFullError
from state.models import Joining, Record, ReplicaId, RunId
from state.outbox import OutboxEvent
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from state.postgres.outbox import OutboxReader, PostgresOutbox
from state.postgres.providers_down import PostgresProvidersDown
from state.postgres.runs import PostgresRunStore
from tests.harness.events import fill
from tests.harness.retention import connected, somebody_waits
from tests.harness.runs import REPLICA, SUCCEEDED, last, new_run

TELL = "INSERT INTO outbox (owner, type, data) VALUES ('', 'provider.recovered', '{\"provider\": \"%s\"}')"
OTHER = ReplicaId("1" * 32)


@pytest.fixture
async def outbox(database: Database) -> PostgresOutbox:
    return PostgresOutbox(database)


@pytest.fixture
async def late(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that has written an event and not committed it."""
    async with connected(dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(TELL % "late")
        yield connection


def names(events: list[OutboxEvent]) -> list[str]:
    return [event.data["provider"] for event in events]


async def has_turn(outbox: PostgresOutbox) -> None:
    """Return when it has."""
    async with asyncio.timeout(5):
        while True:
            if await outbox.next(10) is not None:
                return
            await asyncio.sleep(0.01)


async def types(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT type FROM outbox ORDER BY event_id")
    return [row["type"] for row in rows]


async def test_an_event_that_is_committed_late_is_not_skipped(
    database: Database, outbox: PostgresOutbox, late: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with database.connection() as connection:
        await connection.execute(TELL % "early")
    found = await outbox.next(10)
    assert found is not None
    assert names([*found]) == ["early"]
    await outbox.forget(found)
    await late.execute("COMMIT")
    assert names([*(await outbox.next(10) or ())]) == ["late"]


async def test_who_only_reads_gets_what_is_committed_late_and_nothing_twice(
    database: Database, late: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    reader = OutboxReader(database)
    async with database.connection() as connection:
        for name in ("one", "two"):
            await connection.execute(TELL % name)
            assert names([*await reader.read(10)]) == [name]
        await late.execute("COMMIT")
        assert names([*await reader.read(10)]) == ["late"]
        for name in ("three", "four"):
            await connection.execute(TELL % name)
            assert names([*await reader.read(10)]) == [name]
            assert await reader.read(10) == []


@pytest.mark.parametrize("most", [7, 1000])
async def test_who_only_reads_forgets_what_nobody_can_commit_any_more(
    dsn: str, database: Database, most: int
) -> None:
    await fill(dsn, 500, 5)
    reader = OutboxReader(database)
    found: list[int] = []
    while events := await reader.read(most):
        found += [event.event_id for event in events]
    async with asyncio.timeout(10):
        while not reader._mark:  # transactions of other tests on the same server keep it back
            assert await reader.read(most) == []
    assert found == sorted(set(found))
    assert len(found) == 500
    assert len(reader._given) <= 2 * most


async def test_one_process_at_a_time_has_its_turn(database: Database, outbox: PostgresOutbox) -> None:
    assert await outbox.next(10) == []
    other = PostgresOutbox(database)
    assert await other.next(10) is None
    assert not await other.keep_turn()
    assert await outbox.keep_turn()
    await outbox._connection.close(1.0)
    await has_turn(other)
    assert not await outbox.keep_turn()


async def test_who_is_silent_for_too_long_loses_its_turn(database: Database) -> None:
    stopped, other = PostgresOutbox(database, idle_seconds=0.2), PostgresOutbox(database)
    assert await stopped.next(10) == []
    await has_turn(other)


async def test_the_lag_is_how_many_wait_and_how_old_the_oldest_is(dsn: str, outbox: PostgresOutbox) -> None:
    assert (await outbox.lag()).events == 0
    await fill(dsn, 30, 3)
    async with connected(dsn) as connection:
        await connection.execute(
            "UPDATE outbox SET create_time = now() - interval '1 hour' WHERE event_id = 7"
        )
    lag = await outbox.lag()
    assert lag.events == 30
    assert 3600 <= lag.oldest_seconds < 3700


async def test_of_a_run_the_order_of_commits_is_that_of_its_events(database: Database) -> None:
    """Whoever changes a run waits for who changed it before, and only then gets a number for its event."""
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    async with database.connection() as first, first.transaction():
        await first.execute("UPDATE runs SET state = 'waiting_for_permission'")
        second = asyncio.create_task(_put_back(database))
        await somebody_waits(database.dsn)
        async with database.connection() as other:
            await other.execute(TELL % "between")
    await second
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT type FROM outbox WHERE run_id IS NOT NULL ORDER BY event_id")
    assert [row["type"] for row in rows] == ["run.started", "run.waiting", "run.queued"]
    assert attempt.number == 1


async def _put_back(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE runs SET state = 'queued'")


async def test_what_a_run_used_is_told_once_with_its_end(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    await runs.finish(attempt, SUCCEEDED, last(1))
    assert await types(database) == ["run.started", "run.completed", "usage.recorded"]


async def live(database: Database, *replicas: ReplicaId) -> None:
    for replica in replicas:
        await PostgresLeases(database, database, replica, version="1").beat(6.0)


async def test_a_provider_is_down_for_all_from_the_first_that_finds_it_so_to_the_last(
    database: Database,
) -> None:
    await live(database, REPLICA, OTHER)
    one, two = PostgresProvidersDown(database, REPLICA), PostgresProvidersDown(database, OTHER)
    await asyncio.gather(*(store.tell(["acme"], []) for store in (one, two) for _ in range(5)))
    assert await types(database) == ["provider.unavailable"]
    await one.tell([], ["acme"])
    assert await types(database) == ["provider.unavailable"]
    await two.tell([], [])
    assert await types(database) == ["provider.unavailable", "provider.recovered"]


async def test_replicas_that_recover_at_once_tell_of_it_once(database: Database) -> None:
    stores = [PostgresProvidersDown(database, ReplicaId(uuid4().hex)) for _ in range(4)]
    for _ in range(10):
        await asyncio.gather(*(store.tell(["acme", "other"], []) for store in stores))
        await asyncio.gather(*(store.tell([], []) for store in stores))
    told = await types(database)
    assert told == [*["provider.unavailable"] * 2, *["provider.recovered"] * 2] * 10


async def test_what_a_dead_replica_found_stands_until_the_provider_was_seen_at_work(
    database: Database,
) -> None:
    await live(database, OTHER)
    await PostgresProvidersDown(database, REPLICA).tell(["acme"], [])
    alive = PostgresProvidersDown(database, OTHER)
    await alive.tell([], ["another"])
    assert await types(database) == ["provider.unavailable"]
    await alive.tell([], ["acme"])
    assert await types(database) == ["provider.unavailable", "provider.recovered"]


async def test_a_line_that_is_full_is_told_once_and_again_when_it_accepts(database: Database) -> None:
    line = PostgresLine(database, database, REPLICA)
    joining = Joining(spacing_seconds=5.0, high=2, low=1)

    async def join() -> RunId:
        run = new_run()
        await line.join(run, joining, [Record(1, b"queued")], lambda place: None)
        return run.run_id

    for _ in range(2):
        await join()
    for _ in range(3):
        with pytest.raises(QueueFullError):
            await join()
    await line.accept_again(1)
    assert [one for one in await types(database) if one.startswith("queue")] == ["queue.full"]
    async with database.connection() as connection:
        await connection.execute("DELETE FROM runs")
    await asyncio.gather(*(line.accept_again(1) for _ in range(3)), join())
    told = [one for one in await types(database) if one.startswith("queue")]
    assert told == ["queue.full", "queue.accepting"]
