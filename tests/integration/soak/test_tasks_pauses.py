"""Workers are stopped for longer than their lease and go on then: what they still write is refused."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.scale import SCALE, report, scaled
from tests.integration.tasks.checker import problems, spoken
from tests.integration.tasks.crowd import Crowd, calls_of, ended
from tests.integration.tasks.tables import Tables, audited, read_tables
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

PAUSES = scaled(20)
TASKS = scaled(60)
AT_ONCE = 3
SECONDS = (1.6, 2.4)
"""The shortest is a little more than the lease, so that the sleeper wakes while another takes over."""
CALLS = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "12"}
REFUSED = "run lost to another attempt"

pytestmark = pytest.mark.timeout(180 * SCALE)


async def pause_by_turns(places: list[Place], random: Random, pauses: int) -> None:
    for _ in range(pauses):
        place = random.choice(places)
        async with place.changing:
            await place.pause(random.uniform(*SECONDS))
        await asyncio.sleep(random.uniform(0.0, 0.5))


async def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    durable_dsn: str, tmp_path: Path
) -> None:
    random = Random(5)
    await audited(durable_dsn)
    async with ScriptedProvider() as provider:
        provider.enqueue(*spoken(TASKS * 10, token_interval=0.3))
        environment = {"OPENAI_BASE_URL": provider.base_url, **SHORT_LEASES, **CALLS}
        async with workers(tmp_path, durable_dsn, 5, environment) as places:
            crowd = Crowd(places, Random(random.random()))
            shares = [len(range(first, PAUSES, AT_ONCE)) for first in range(AT_ONCE)]
            pausing = [asyncio.create_task(pause_by_turns(places, random, share)) for share in shares]
            await crowd.take_all(TASKS)
            await asyncio.gather(*pausing)
            await ended(durable_dsn, TASKS)
            await crowd.look_at_conversations()
            refused = sum(REFUSED in line for place in places for line in place.process.errors)
        tables = await read_tables(durable_dsn)
        assert problems(crowd.log, tables, calls_of(provider)) == []
    taken = taken_over(tables)
    report(f"{len(tables.rows)} tasks, {PAUSES} pauses, {taken} taken over, {refused} refused when they woke")
    assert taken >= PAUSES // 2
    assert refused >= 1


def taken_over(tables: Tables) -> int:
    """How many attempts another process has put an end to."""
    count = 0
    for writes in tables.writes.values():
        holder = ""
        for write in writes:
            holder = write.writer if write.new_state == "running" else holder
            count += (write.old_state, write.new_state) == ("running", "queued") and write.writer != holder
    return count
