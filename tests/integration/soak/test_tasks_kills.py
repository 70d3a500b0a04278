"""Workers are killed at random and in the middle of statements: every task is done once, and wholly."""

import asyncio
from collections import Counter
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.scale import SCALE, report, scaled
from tests.integration.tasks.checker import problems, spoken
from tests.integration.tasks.crowd import Crowd, calls_of, ended
from tests.integration.tasks.tables import Tables, audited, read_tables
from tests.integration.tasks.workers import POINTS, SHORT_LEASES, Place, Trap, workers

TASKS = scaled(300)
KILLS = scaled(15)
CALLS = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "9"}

pytestmark = pytest.mark.timeout(180 * SCALE)


async def kill_all_along(places: list[Place], trap: Trap, random: Random) -> None:
    """Kill at each named point in turn, with the statement kept and undone, else at any time."""
    turns = cycle((point, kept) for kept in (True, False) for point in POINTS)
    for _ in range(KILLS):
        await asyncio.gather(*(place.there() for place in places[1:]))  # so that one is there always
        point, committed = next(turns)
        if not await trap.kill_at(point, committed=committed, within=1.0):
            place = random.choice(places)
            await place.there()
            await place.kill()
        await asyncio.sleep(random.uniform(0.0, 0.3))


async def test_tasks_are_done_once_whatever_is_killed(durable_dsn: str, tmp_path: Path) -> None:
    random = Random(11)
    await audited(durable_dsn)
    async with ScriptedProvider() as provider:
        provider.enqueue(*spoken(TASKS * 4, token_interval=0.1))
        environment = {"OPENAI_BASE_URL": provider.base_url, **SHORT_LEASES, **CALLS}
        async with workers(tmp_path, durable_dsn, 3, environment) as places:
            crowd = Crowd(places, Random(random.random()))
            trap = Trap(durable_dsn, places)
            killing = asyncio.create_task(kill_all_along(places, trap, random))
            await crowd.take_all(TASKS)
            await killing
            await ended(durable_dsn, TASKS, within=60 * SCALE)
            await crowd.look_at_conversations()
        tables = await read_tables(durable_dsn)
        assert problems(crowd.log, tables, calls_of(provider)) == []
    report_of(trap, tables, crowd)
    assert_states(tables)


def report_of(trap: Trap, tables: Tables, crowd: Crowd) -> None:
    attempts = Counter(row.attempt for row in tables.rows.values())
    report(
        f"{len(tables.rows)} tasks, {KILLS} kills, at points {trap.sprung}; attempts {dict(attempts)}; "
        f"{crowd.log.unanswered.total()} requests without an answer, {crowd.returns} watches"
    )


def assert_states(tables: Tables) -> None:
    """All succeeded, but for what three processes died of."""
    for row in tables.rows.values():
        assert row.state == "succeeded" or (row.error_reason, row.losses) == ("WORKER_LOST", 2)
