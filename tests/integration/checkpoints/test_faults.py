"""Three faults that make the official saver lose turns it has acknowledged, and ours none.

Every replica here is a process of its own. The sizes are those of CI; `make soak` runs ten times as many.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from state.models import Record, ReplicaId, RunId, RunOutcome, RunState, UnattendedRun
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from tests.harness.runs import REPLICA
from tests.harness.scale import scaled
from tests.integration.checkpoints.replica import DONE, OURS, STOCK, Replica, replica
from tests.integration.checkpoints.turns import (
    Conversation,
    Opened,
    our_conversations,
    stock_conversations,
)

AHEAD_SECONDS = (-30.0, 3600.0)
LEASE_SECONDS = 0.2
RACES = scaled(100)
PAUSES = scaled(20)
STOCK_ROUNDS = 5
"""Enough to show the loss."""


@pytest.fixture
async def opened(dsn: str, database: Database) -> AsyncIterator[Mapping[str, Opened]]:
    async with our_conversations(database) as ours, stock_conversations(dsn) as stock:
        yield {OURS: ours, STOCK: stock}


async def lost(conversation: Conversation, acknowledged: list[str]) -> list[str]:
    """The turns that were acknowledged and are not there; none may be there twice."""
    said = Counter(await conversation.said())
    assert not said or max(said.values()) == 1
    return [text for text in acknowledged if text not in said]


async def test_no_turn_is_lost_to_a_replica_whose_clock_is_off(
    dsn: str, opened: Mapping[str, Opened]
) -> None:
    missing: dict[tuple[str, float], list[str]] = {}
    for ahead in AHEAD_SECONDS:
        async with replica(dsn, seconds_ahead=ahead) as wrong:
            for side in (OURS, STOCK):
                conversation, acknowledged = opened[side](f"{ahead} s"), list[str]()
                for number in range(3):
                    await conversation.turn(f"right {number}")
                    assert await wrong.turn(side, f"{ahead} s", f"wrong {number}") == DONE
                    acknowledged += [f"right {number}", f"wrong {number}"]
                missing[side, ahead] = await lost(conversation, acknowledged)
    for ahead in AHEAD_SECONDS:
        assert missing[OURS, ahead] == []
        assert missing[STOCK, ahead], "the official saver has learned it: say so where we say otherwise"


async def race(side: str, racers: list[Replica], number: int) -> list[str]:
    """Two replicas read the conversation, then both write. The one that is refused takes its turn again."""
    texts = [f"{name} {number}" for name in ("one", "two")]
    for racer, text in zip(racers, texts, strict=True):
        await racer.think(side, "race", text)
    outcomes = await asyncio.gather(*(racer.go_on() for racer in racers))
    assert sorted(outcomes) == ([DONE, DONE] if side == STOCK else ["StaleThreadError", DONE])
    for racer, text, outcome in zip(racers, texts, outcomes, strict=True):
        if outcome != DONE:
            assert await racer.turn(side, "race", text) == DONE
    return texts


@pytest.mark.parametrize(("side", "rounds"), [(OURS, RACES), (STOCK, STOCK_ROUNDS)])
async def test_no_turn_is_lost_when_two_replicas_race(
    dsn: str, opened: Mapping[str, Opened], side: str, rounds: int
) -> None:
    async with AsyncExitStack() as stack:
        racers = [await stack.enter_async_context(replica(dsn)) for _ in range(2)]
        acknowledged = [text for number in range(rounds) for text in await race(side, racers, number)]
    missing = await lost(opened[side]("race"), acknowledged)
    assert len(missing) == (0 if side == OURS else rounds)


async def past_its_lease(database: Database, replica_id: ReplicaId) -> None:
    """Return when the replica has been silent for a lease; one that is not stopped never is."""
    beats = "SELECT FROM replicas WHERE replica_id = $1 AND beat_time > now() - make_interval(secs => $2)"
    while True:
        async with database.connection() as connection:
            if not await connection.fetch(beats, UUID(replica_id), LEASE_SECONDS):
                return
        await asyncio.sleep(LEASE_SECONDS / 10)


async def taken_over(leases: PostgresLeases, line: PostgresLine, run_id: RunId) -> None:
    """Reap, and claim the run; the other runs that nobody beats for end."""

    def end(run: UnattendedRun) -> tuple[RunOutcome, Record] | None:
        if run.run_id == run_id:
            return None
        return RunOutcome(RunState.FAILED), Record(run.last_sequence + 1, b"", terminal=True)

    # Once may be too early: a beat that was on its way when the process was stopped still counts.
    while (claimed := await line.claim({""})) is None:
        await leases.reap(LEASE_SECONDS, [], (), end)
    assert (claimed.attempt.run_id, claimed.attempt.number) == (run_id, 2)


@pytest.mark.parametrize(("side", "rounds"), [(OURS, PAUSES), (STOCK, STOCK_ROUNDS)])
async def test_no_turn_is_lost_when_a_stopped_process_wakes_up_past_its_lease(
    dsn: str, database: Database, opened: Mapping[str, Opened], side: str, rounds: int
) -> None:
    conversation, acknowledged = opened[side]("pause"), list[str]()
    leases = PostgresLeases(database, database, REPLICA, version="test")
    line = PostgresLine(database, database, REPLICA)
    async with replica(dsn) as paused:
        for number in range(rounds):
            run_id = await paused.think(side, "pause", f"paused {number}")
            paused.stop()
            await past_its_lease(database, paused.replica_id)
            if side == OURS:
                await taken_over(leases, line, run_id)
            for text in (f"meanwhile {number}", f"and {number}"):
                await conversation.turn(text)
                acknowledged.append(text)
            paused.wake()
            outcome = await paused.go_on()
            if outcome == DONE:
                acknowledged.append(f"paused {number}")
            assert outcome == ("LostAttemptError" if side == OURS else DONE)
    missing = await lost(conversation, acknowledged)
    assert len(missing) == (0 if side == OURS else 2 * rounds)


async def test_a_stopped_process_that_still_holds_its_run_is_refused_too(
    dsn: str, opened: Mapping[str, Opened]
) -> None:
    conversation = opened[OURS]("pause")
    async with replica(dsn) as paused:
        await paused.think(OURS, "pause", "paused")
        paused.stop()
        for text in ("one", "two"):
            await conversation.turn(text)
        paused.wake()
        assert await paused.go_on() == "StaleThreadError"
    assert await conversation.said() == ["one", "two"]
