"""Processes are killed while people decide: each is asked once, heard once, and nothing else is done."""

import asyncio
from collections import Counter
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.scale import SCALE, report, scaled
from tests.harness.tooled import DONE, wish, wishing
from tests.integration.soak.consenting import People, problems
from tests.integration.tasks.crowd import ended
from tests.integration.tasks.tables import audited, connected
from tests.integration.tasks.workers import SHORT_LEASES, Place, Trap, workers

pytestmark = pytest.mark.timeout(180 * SCALE)

ROUNDS = scaled(10)
RUNS_PER_ROUND = 10
POINTS = ("effect begun", "decide", "effect done", "ask", "claim", "checkpoint", "put back", "finish")


def adds(body: Any) -> Script:
    """A model that adds one entry, and is content."""
    messages = body["messages"]
    if any(message.get("tool_calls") for message in messages):
        return DONE
    return wishing(wish("add_org_inbox_item", {"text": messages[-1]["content"], "kind": "todo"}))


async def kill_one(trap: Trap, places: list[Place], random: Random, point: str, *, committed: bool) -> None:
    """Whoever comes to a point first, else any."""
    if not await trap.kill_at(point, committed=committed, within=1.5):
        place = random.choice(places)
        await place.there()
        await place.kill()


async def test_nothing_is_done_twice_or_unallowed_whatever_is_killed_while_people_decide(
    durable_dsn: str, tmp_path: Path
) -> None:
    random = Random(7)
    await audited(durable_dsn)
    async with ScriptedProvider() as provider, FakeToolService() as backend:
        provider.answer_by(adds)
        backend.default("AddOrgInboxItem", Answer(delay=0.2))
        environment = {
            "OPENAI_BASE_URL": provider.base_url,
            "USE_GRPC_TOOL_SERVICE": "true",
            "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
            **SHORT_LEASES,
        }
        async with workers(tmp_path, durable_dsn, 3, environment) as places:
            people, trap = People(places, random), Trap(durable_dsn, places)
            attending = asyncio.create_task(people.attend())
            turns = cycle((point, kept) for kept in (True, False) for point in POINTS)
            for number in range(ROUNDS):
                await asyncio.gather(*(place.there() for place in places[1:]))  # so that one is there always
                first = number * RUNS_PER_ROUND
                starting = [people.start(n) for n in range(first, first + RUNS_PER_ROUND)]
                point, committed = next(turns)
                await asyncio.gather(kill_one(trap, places, random, point, committed=committed), *starting)
            await ended(durable_dsn, ROUNDS * RUNS_PER_ROUND)
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
        calls = backend.ledger.calls
        wrong = await problems(durable_dsn, calls, people)
        assert not wrong, "\n".join(wrong)
        async with connected(durable_dsn) as connection:
            rows = await connection.fetch("SELECT state, count(*) FROM orchestrator.permissions GROUP BY 1")
        again = len(calls) - len({call.metadata["x-tool-call-id"] for call in calls})
    report(
        f"{ROUNDS} kills at points {trap.sprung}, {people.ways}; permissions {dict(map(tuple, rows))}; "
        f"{len(calls)} calls, {again} of them again after they were cut and allowed again"
    )
    assert Counter(trap.sprung).total() >= ROUNDS // 2
