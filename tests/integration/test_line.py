"""The line in Postgres: who stands where, who is taken first, and who has waited too long."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from state.errors import ConversationBusyError
from state.models import (
    Joining,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    RunId,
    RunKind,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from state.postgres.runs import PostgresRunStore
from tests.harness import runs
from tests.harness.runs import REPLICA

USUAL = Joining(spacing_seconds=5.0, high=100_000, low=50_000)
CHAT, FAST = "class:chat", "class:fast"


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


@pytest.fixture
def line(database: Database) -> PostgresLine:
    return PostgresLine(database, database, REPLICA)


def new_run(
    owner: str = "ann", conversation: str = "", wants: str = CHAT, wait_seconds: float = 60.0
) -> NewRun:
    run = runs.new_run(Owner(owner), conversation)
    return replace(run, wants=wants, wait_seconds=wait_seconds)


def anywhere(place: int) -> None:
    """Every place will do."""


async def join(line: PostgresLine, *new: NewRun, joining: Joining = USUAL) -> list[RunId]:
    for run in new:
        await line.join(run, joining, [Record(1, b"queued")], anywhere)
    return [run.run_id for run in new]


async def taken(line: PostgresLine, wants: str = CHAT) -> list[RunId]:
    """Everybody who wants this, in the order of being taken."""
    order = []
    while claimed := await line.claim({wants}):
        order.append(claimed.attempt.run_id)
    return order


async def test_one_user_is_taken_in_the_order_of_joining(line: PostgresLine) -> None:
    joined = await join(line, *(new_run() for _ in range(5)))
    assert await taken(line) == joined


async def test_a_user_who_joins_late_is_not_kept_by_another_ones_many(line: PostgresLine) -> None:
    many = await join(line, *(new_run("noisy") for _ in range(20)))
    [late] = await join(line, new_run("quiet"))
    assert await taken(line) == [many[0], late, *many[1:]]


async def test_a_higher_priority_goes_first_until_others_have_waited_for_as_long(
    line: PostgresLine, dsn: str
) -> None:
    [waited] = await join(line, new_run("a"))
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE orchestrator.runs SET rank = rank - interval '90 s'")
    await connection.close()
    [usual] = await join(line, new_run("b"))
    [urgent] = await join(line, new_run("c"), joining=replace(USUAL, lead_seconds=60.0))
    assert await taken(line) == [waited, urgent, usual]


async def test_who_wants_something_else_is_not_in_the_way(line: PostgresLine) -> None:
    [chat] = await join(line, new_run("a"))
    [fast] = await join(line, new_run("b", wants=FAST))
    assert sorted(await line.wanted()) == [CHAT, FAST]
    assert await taken(line, FAST) == [fast]
    assert await line.wanted() == [CHAT]
    assert await taken(line) == [chat]
    assert await line.wanted() == []


async def test_the_line_is_quiet_when_nobody_stands_in_it_and_nobody_is_refused(
    line: PostgresLine, database: Database
) -> None:
    assert await line.is_quiet()
    await join(line, new_run("a"))
    assert not await line.is_quiet()
    await taken(line)
    assert await line.is_quiet()
    async with database.connection() as connection:
        await connection.execute("UPDATE line_marks SET refusing = true")
    assert not await line.is_quiet()


async def test_places_count_from_one_and_move_up(line: PostgresLine) -> None:
    joined = await join(line, *(new_run(f"user-{number}") for number in range(4)))
    await join(line, new_run("else", wants=FAST))
    assert await line.places(joined) == dict(zip(joined, (1, 2, 3, 4), strict=True))
    await line.claim({CHAT})
    assert await line.places(joined) == dict(zip(joined[1:], (1, 2, 3), strict=True))


async def test_a_run_in_line_has_its_first_records_and_its_first_attempt_when_it_is_taken(
    line: PostgresLine, database: Database
) -> None:
    run = new_run()
    await join(line, run)
    stored = await PostgresRunStore(database, REPLICA).get(run.owner, run.run_id)
    assert (stored.state, stored.attempt, stored.last_sequence) == (RunState.QUEUED, 0, 1)
    claimed = await line.claim({CHAT})
    assert claimed is not None
    assert (claimed.attempt.number, claimed.last_sequence, claimed.request) == (1, 1, b"request")


async def test_a_chat_in_line_holds_its_conversation(line: PostgresLine, database: Database) -> None:
    [first] = await join(line, new_run(conversation="c1"))
    for begin in (
        line.join(new_run(conversation="c1"), USUAL, [], anywhere),
        PostgresRunStore(database, REPLICA).begin(new_run(conversation="c1"), []),
    ):
        with pytest.raises(ConversationBusyError) as busy:
            await begin
        assert busy.value.run_id == first


async def test_who_has_waited_too_long_ends_and_nobody_else(line: PostgresLine, database: Database) -> None:
    [late] = await join(line, new_run("a", wait_seconds=0.0))
    [patient] = await join(line, new_run("b"))
    seen: list[UnattendedRun] = []

    def end(run: UnattendedRun) -> tuple[RunOutcome, Record]:
        seen.append(run)
        record = Record(run.last_sequence + 1, b"too long", terminal=True)
        return RunOutcome(RunState.FAILED, error_reason="PROVIDER_SATURATED"), record

    assert await line.end_overdue(end) == 1
    assert [(run.run_id, run.wants) for run in seen] == [(late, CHAT)]
    assert await taken(line) == [patient]
    stored = await PostgresRunStore(database, REPLICA).get(Owner("a"), late)
    assert (stored.state, stored.last_sequence) == (RunState.FAILED, 2)


MANY = """
INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request, wants, rank)
SELECT gen_random_uuid(), 'user-' || n % 100, 'task', n::text, 'chat', 'queued', '', 'class:chat',
    now() + n * interval '1 ms'
FROM generate_series(1, 20000) AS n;
"""


@pytest.mark.parametrize("what", ["claim", "wanted", "places"])
async def test_a_long_line_is_never_read_as_a_whole(
    line: PostgresLine, database: Database, what: str
) -> None:
    """Counted in rows that the table's scans have read, by the server."""
    [first] = await join(line, new_run())
    async with database.connection() as connection:
        await connection.execute(MANY)
    async with database.connection() as connection:
        await connection.execute("ANALYZE runs")
    before = await rows_read(database)
    for _ in range(10):
        match what:
            case "claim":
                assert await line.claim({CHAT})
            case "wanted":
                assert await line.wanted() == [CHAT]
            case "places":
                assert await line.places([first]) == {first: 1}
    assert await rows_read(database) - before < 2000


async def rows_read(database: Database) -> int:
    async with database.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        read: int = await connection.fetchval(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'runs'"
        )
    return read


async def test_who_may_not_begin_yet_is_not_in_the_way_of_who_wants_something_else(
    line: PostgresLine,
) -> None:
    held, behind = (replace(new_run(conversation="c1"), kind=RunKind.TASK, survives=True) for _ in range(2))
    await join(line, held, behind)
    [fast] = await join(line, new_run("b", wants=FAST))
    assert await taken(line, CHAT) == [held.run_id]
    claimed = await line.claim({CHAT, FAST})
    assert claimed is not None
    assert claimed.attempt.run_id == fast
    assert await line.claim({CHAT, FAST}) is None


TWO_DIED = "UPDATE runs SET losses = 2, attempt = 2, update_time = now() - interval '1 min' WHERE run_id = $1"
LEASE = 6.0


async def test_what_processes_have_died_of_is_taken_only_by_who_asks_for_it(
    line: PostgresLine, database: Database
) -> None:
    poison, other = await join(line, new_run("a"), new_run("b"))
    async with database.connection() as connection:
        await connection.execute(TWO_DIED, UUID(poison))
    assert await taken(line) == [other]
    assert await line.quarantined(0.0, LEASE) == {CHAT: False}
    assert await line.claim_quarantined(FAST) is None
    claimed = await line.claim_quarantined(CHAT)
    assert claimed is not None
    assert (claimed.attempt.run_id, claimed.attempt.number, claimed.losses) == (poison, 3, 2)
    assert await line.quarantined(0.0, LEASE) == {}


async def test_one_of_all_live_processes_makes_room_and_only_for_who_has_waited(
    line: PostgresLine, database: Database
) -> None:
    [poison] = await join(line, new_run())
    async with database.connection() as connection:
        await connection.execute(TWO_DIED, UUID(poison))
    replicas = [ReplicaId(digit * 32) for digit in "123"]
    for replica in replicas:
        await PostgresLeases(database, database, replica, version="test").beat(LEASE)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE replicas SET beat_time = now() - interval '1 h' WHERE replica_id = $1", UUID(replicas[0])
        )
    lines = [PostgresLine(database, database, replica) for replica in replicas]
    assert [(await each.quarantined(30.0, LEASE))[CHAT] for each in lines] == [False, True, False]
    assert [(await each.quarantined(90.0, LEASE))[CHAT] for each in lines] == [False, False, False]
