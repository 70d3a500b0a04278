"""Three faults that make the official saver lose turns it has acknowledged, and ours none."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest

from state.errors import LostAttemptError
from state.postgres.database import Database
from state.threads import RUN_THREAD_KEY, StaleThreadError
from tests.integration.checkpoints.replica import OURS, STOCK, replica
from tests.integration.checkpoints.running import take_away
from tests.integration.checkpoints.turns import (
    Conversation,
    Opened,
    our_conversations,
    stock_conversations,
)

SIDES = (OURS, STOCK)
AHEAD_SECONDS = (-30.0, 3600.0)
RACES = 100
PAUSES = 20
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
    async with AsyncExitStack() as stack:
        replicas = {ahead: await stack.enter_async_context(replica(dsn, ahead)) for ahead in AHEAD_SECONDS}
        for ahead, wrong in replicas.items():
            for side in SIDES:
                name = f"{ahead} s"
                conversation, acknowledged = opened[side](name), []
                for number in range(3):
                    for text in (f"right {number}", f"wrong {number}"):
                        if text.startswith("right"):
                            await conversation.turn(text)
                        else:
                            await wrong.turn(side, name, text)
                        acknowledged.append(text)
                missing[side, ahead] = await lost(conversation, acknowledged)
    for ahead in AHEAD_SECONDS:
        assert missing[OURS, ahead] == []
        assert missing[STOCK, ahead], (
            "the official saver has learned it: say so where we say that it loses turns"
        )


async def race(conversation: Conversation, round_number: int) -> list[str]:
    """Two runs read the conversation, then both write. The one that is refused takes its turn again."""
    both_have_read = asyncio.Barrier(2)

    async def writer(text: str) -> str:
        try:
            await conversation.turn(text, both_have_read.wait)
        except StaleThreadError:
            await conversation.turn(text)
        return text

    return await asyncio.gather(*(writer(f"{name} {round_number}") for name in ("one", "two")))


@pytest.mark.parametrize(("side", "rounds"), [(OURS, RACES), (STOCK, STOCK_ROUNDS)])
async def test_no_turn_is_lost_when_two_runs_race(
    opened: Mapping[str, Opened], side: str, rounds: int
) -> None:
    conversation = opened[side]("race")
    acknowledged = [text for number in range(rounds) for text in await race(conversation, number)]
    missing = await lost(conversation, acknowledged)
    assert len(missing) == (0 if side == OURS else rounds)


@pytest.mark.parametrize(("side", "rounds"), [(OURS, PAUSES), (STOCK, STOCK_ROUNDS)])
async def test_no_turn_is_lost_when_a_paused_writer_wakes_up(
    database: Database, opened: Mapping[str, Opened], side: str, rounds: int
) -> None:
    conversation, acknowledged = opened[side]("pause"), list[str]()
    for number in range(rounds):
        has_read, wakes = asyncio.Event(), asyncio.Event()

        async def pause(has_read: asyncio.Event = has_read, wakes: asyncio.Event = wakes) -> None:
            has_read.set()
            await wakes.wait()

        at = await conversation.begin()
        paused = asyncio.create_task(conversation.turn(f"paused {number}", pause, at))
        await has_read.wait()
        if side == OURS:
            await take_away(database, at["configurable"][RUN_THREAD_KEY])
        for text in (f"meanwhile {number}", f"and {number}"):
            await conversation.turn(text)
            acknowledged.append(text)
        wakes.set()
        if side == OURS:
            with pytest.raises(LostAttemptError):
                await paused
        else:
            await paused
            acknowledged.append(f"paused {number}")
    missing = await lost(conversation, acknowledged)
    assert len(missing) == (0 if side == OURS else 2 * rounds)


async def test_a_paused_writer_that_still_holds_its_run_is_refused_too(
    opened: Mapping[str, Opened],
) -> None:
    conversation, has_read, wakes = opened[OURS]("pause"), asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        has_read.set()
        await wakes.wait()

    paused = asyncio.create_task(conversation.turn("paused", pause))
    await has_read.wait()
    await conversation.turn("one")
    await conversation.turn("two")
    wakes.set()
    with pytest.raises(StaleThreadError):
        await paused
    assert await conversation.said() == ["one", "two"]
