"""A task that its worker dies of, again and again: it ends, and nothing else does."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.scale import SCALE
from tests.integration.tasks.checker import problems, spoken
from tests.integration.tasks.crowd import Crowd, calls_of, ended
from tests.integration.tasks.tables import Tables, audited, connected, read_tables
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

NEIGHBOURS = 20
DEATHS = 3
CALLS = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "8"}
_TAKEN = """
SELECT writer FROM audit.events WHERE run_id = $1::text::uuid AND new_state = 'running' AND attempt = $2
"""

pytestmark = pytest.mark.timeout(120 * SCALE)


async def kill_whoever_takes(dsn: str, run_id: str, places: list[Place]) -> None:
    async with connected(dsn) as connection, asyncio.timeout(60):
        for attempt in range(1, DEATHS + 1):
            while (name := await connection.fetchval(_TAKEN, run_id, attempt)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await next(place for place in places if place.name == name).kill()


async def test_a_task_that_kills_its_worker_is_tried_alone_and_ends(durable_dsn: str, tmp_path: Path) -> None:
    await audited(durable_dsn)
    async with ScriptedProvider() as provider:
        provider.enqueue(*spoken(400, token_interval=0.15))
        environment = {"OPENAI_BASE_URL": provider.base_url, **SHORT_LEASES, **CALLS}
        async with workers(tmp_path, durable_dsn, 2, environment) as places:
            crowd = Crowd(places, Random(1))
            poison = await crowd.start(0)
            killing = asyncio.create_task(kill_whoever_takes(durable_dsn, poison, places))
            await asyncio.gather(*(crowd.start(number) for number in range(1, NEIGHBOURS + 1)))
            await ended(durable_dsn, NEIGHBOURS + 1)
            await killing
        tables = await read_tables(durable_dsn)
        assert problems(crowd.log, tables, calls_of(provider)) == []
    dead = tables.rows[poison]
    assert (dead.state, dead.error_reason, dead.attempt) == ("failed", "WORKER_LOST", DEATHS)
    assert {row.state for row in tables.rows.values() if row is not dead} == {"succeeded"}
    assert beside(tables, poison, DEATHS) == []


def beside(tables: Tables, run_id: str, attempt: int) -> list[str]:
    """What its process had to do when it took the run, and what it took after that."""
    taken = next(
        write for write in tables.writes[run_id] if (write.new_state, write.attempt) == ("running", attempt)
    )
    others: list[str] = []
    for other in tables.rows.keys() - {run_id}:
        changes = [write for write in tables.writes[other] if write.new_state]
        for number, change in enumerate(changes):
            ended_at = changes[number + 1].at if number + 1 < len(changes) else None
            is_its = (change.new_state, change.writer) == ("running", taken.writer)
            if is_its and (ended_at is None or ended_at > taken.at):
                others.append(other)
    return others
