"""Two replicas: one task for one key, however often it is sent; restarts that no caller notices."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import SCALE, SOAK, report, scaled
from tests.integration.tasks.checker import problems, spoken
from tests.integration.tasks.crowd import Crowd, calls_of, ended
from tests.integration.tasks.tables import Tables, audited, connected, read_tables
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

KEYS, CALLERS = (1000, 100) if SOAK else (50, 20)
RESTARTS = 20 if SOAK else 4
DRAIN = {"ORCHESTRATOR_SERVER__DRAIN_SECONDS": "0.3"}
CALLS = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "20"}
UNLIMITED = {"ORCHESTRATOR_SERVER__MAX_CALLS_PER_USER": "1000"}
_COUNT = "SELECT count(*) FROM orchestrator.runs"

pytestmark = pytest.mark.timeout(120 * SCALE)


async def test_a_key_begins_one_task_however_often_it_is_sent_at_once(
    durable_dsn: str, tmp_path: Path
) -> None:
    async with ScriptedProvider(default=Script(tokens=("done",))) as provider:
        environment = {"OPENAI_BASE_URL": provider.base_url, **UNLIMITED}
        async with workers(tmp_path, durable_dsn, 2, environment) as places:
            found = Counter[tuple[int, int]]()
            for key in range(KEYS):
                request = pb.TaskRequest(user_id="ann", query=f"task {key}", request_id=f"r-{key}")
                tasks = await asyncio.gather(
                    *(places[caller % 2].stub.StartTask(request, timeout=60) for caller in range(CALLERS))
                )
                begun = sum(not task.deduplicated for task in tasks)
                found[len({task.task_id for task in tasks}), begun] += 1
            await ended(durable_dsn, KEYS)
    async with connected(durable_dsn) as connection:
        rows = await connection.fetchval(_COUNT)
    assert (dict(found), rows) == ({(1, 1): KEYS}, KEYS)


async def restart_by_turns(places: list[Place], stopped: dict[str, float], done: asyncio.Event) -> list[int]:
    codes: list[int] = []
    for number in range(RESTARTS):
        place = places[number % 2]
        stopped[place.name] = time.time()
        codes.append(await place.restart())
        await asyncio.sleep(0.5)
    done.set()
    return codes


async def test_restarts_one_after_the_other_fail_no_call_and_lose_no_attempt(
    durable_dsn: str, tmp_path: Path
) -> None:
    await audited(durable_dsn)
    stopped: dict[str, float] = {}
    async with ScriptedProvider() as provider:
        provider.enqueue(*spoken(scaled(3000), token_interval=0.2))
        environment = {"OPENAI_BASE_URL": provider.base_url, **SHORT_LEASES, **DRAIN, **CALLS}
        async with workers(tmp_path, durable_dsn, 2, environment) as places:
            crowd, done = Crowd(places, Random(2)), asyncio.Event()
            restarting = asyncio.create_task(restart_by_turns(places, stopped, done))
            await load_until(done, crowd)
            codes = await restarting
            await ended(durable_dsn, len(crowd.log.accepted))
            await crowd.look_at_conversations()
        tables = await read_tables(durable_dsn)
        assert problems(crowd.log, tables, calls_of(provider)) == []
    assert codes == [0] * RESTARTS
    assert {row.state for row in tables.rows.values()} == {"succeeded"}
    assert {row.losses for row in tables.rows.values()} == {0}
    assert max(crowd.log.unanswered.values(), default=0) <= 1  # the other replica answers at once
    assert crowd.most_failures <= 1
    report_of(tables, stopped, crowd)


async def load_until(done: asyncio.Event, crowd: Crowd) -> None:
    """Ten callers who each watch a task to its end before they start the next."""

    async def caller(first: int) -> None:
        number = first
        while not done.is_set():
            await crowd.watch(number, await crowd.start(number))
            number += 10

    await asyncio.gather(*(caller(first) for first in range(10)))


def report_of(tables: Tables, stopped: dict[str, float], crowd: Crowd) -> None:
    """How long what was handed back waited for another replica."""
    waits: list[float] = []
    since_signal: list[float] = []
    for writes in tables.writes.values():
        changes = [write for write in writes if write.new_state]
        for before, after in pairwise(changes):
            if (before.old_state, before.new_state, after.new_state) == ("running", "queued", "running"):
                waits.append((after.at - before.at).total_seconds())
                since_signal.append(after.at.timestamp() - stopped[before.writer])
    assert waits
    verdict = "pass" if max(waits) <= 2.0 else "FAIL"
    grace = DRAIN["ORCHESTRATOR_SERVER__DRAIN_SECONDS"]
    report(
        f"{RESTARTS} restarts, {len(tables.rows)} tasks, {crowd.returns} watches; {len(waits)} handed back, "
        f"running elsewhere after {max(waits):.2f} s at most, goal 2 s: {verdict}; "
        f"{max(since_signal):.2f} s after SIGTERM, {grace} s of them the grace"
    )
