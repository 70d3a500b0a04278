"""The previous version and today's on one database: what either begins the other goes on with."""

import asyncio
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from llm_orchestrator_client import OrchestratorClient
from llm_orchestrator_client.values import TaskState
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.process import ROOT
from tests.harness.scale import SCALE, report, scaled
from tests.harness.tooled import DONE
from tests.integration.tasks.tables import connected
from tests.upgrade.load import answer_to, options_for, steady_load
from tests.upgrade.places import Place, places
from tests.upgrade.questions import adding

MIXED = scaled(2)
"""What is done of each kind while both versions are there."""
BURST = 10
_CALLS = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "3"}
_BY = "SELECT run_id, replica_id FROM orchestrator.runs WHERE kind = 'task'"

pytestmark = pytest.mark.timeout(120 * SCALE)


async def replica_of(dsn: str, known: set[UUID]) -> UUID:
    """The one that has joined since."""
    async with connected(dsn) as connection:
        rows = await connection.fetch("SELECT replica_id FROM orchestrator.replicas")
    joined: set[UUID] = {row["replica_id"] for row in rows} - known
    known |= joined
    return joined.pop()


async def burst(place: Place, side: str) -> set[str]:
    """The tasks that one replica has accepted, more than it can do at once; returns when they are done."""
    async with OrchestratorClient(options_for(place.address)) as client:
        queries = [f"{side} {number}" for number in range(BURST)]
        started = await asyncio.gather(*(client.tasks.start(query, user_id=side) for query in queries))
        ids = [task.task_id for task in started]
        texts = await asyncio.gather(*(client.tasks.watch(task, user_id=side).text() for task in ids))
    assert texts == [answer_to(query) for query in queries]
    return set(ids)


async def test_old_and_new_do_each_others_tasks(
    empty_dsn: str, provider: ScriptedProvider, previous_tree: Path, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": empty_dsn, "OPENAI_BASE_URL": provider.base_url, **_CALLS}
    known = set[UUID]()
    async with places(tmp_path, [previous_tree], environment) as [old]:
        names = {await replica_of(empty_dsn, known): "old"}
        async with places(tmp_path, [ROOT], environment) as [new]:
            names[await replica_of(empty_dsn, known)] = "new"
            accepted = {"old": await burst(old, "old"), "new": await burst(new, "new")}
    async with connected(empty_dsn) as connection:
        done_by = {row["run_id"].hex: names[row["replica_id"]] for row in await connection.fetch(_BY)}
    found = Counter((side, done_by[task]) for side, tasks in accepted.items() for task in tasks)
    report(f"accepted by, done by: {dict(found)}")
    assert found["old", "new"] > 0 < found["new", "old"]


async def test_no_call_fails_while_a_new_version_takes_the_place_of_the_old(
    empty_dsn: str, provider: ScriptedProvider, previous_tree: Path, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": empty_dsn, "OPENAI_BASE_URL": provider.base_url}
    async with (
        places(tmp_path, [previous_tree] * 2, environment) as replicas,
        steady_load([replica.address for replica in replicas]) as callers,
    ):
        for replica in replicas:
            await callers.have_done(MIXED)
            assert await replica.roll(ROOT) == 0
        await callers.have_done(MIXED)
    report(f"the previous version rolled out of: {callers.told}")
    assert callers.told.surfaced == []
    assert callers.told.resets >= 1


async def test_what_the_previous_version_has_begun_goes_on_in_the_new_one(
    empty_dsn: str, provider: ScriptedProvider, previous_tree: Path, tmp_path: Path
) -> None:
    """A conversation, a task that waits for a person, and one in its middle, its effect done."""
    async with FakeToolService() as backend:
        environment = {
            "DATABASE_URL": empty_dsn,
            "OPENAI_BASE_URL": provider.base_url,
            "USE_GRPC_TOOL_SERVICE": "true",
            "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        }
        async with (
            places(tmp_path, [previous_tree], environment) as [place],
            OrchestratorClient(options_for(place.address)) as client,
        ):
            await client.chat("first", user_id="ann", conversation_id="c").text()
            waiting, permission = await adding(client, provider)
            middle, to_do = await adding(client, provider)
            provider.enqueue(Script(tokens=DONE.tokens, hold_after=1))
            before = len(provider.ledger)
            await client.permissions.approve(to_do, user_id="ann")
            await provider.call(before + 1)
            assert len(backend.ledger.done) == 1
            provider.enqueue(DONE)
            assert await place.roll(ROOT) == 0
            assert (await client.tasks.watch(middle, user_id="ann").text()).endswith("Done.")
            provider.enqueue(DONE)
            await client.permissions.approve(permission, user_id="ann")
            assert (await client.tasks.watch(waiting, user_id="ann").text()).endswith("Done.")
            provider.default = Script(tokens=("again",))
            await client.chat("second", user_id="ann", conversation_id="c").text()
            states = [(await client.tasks.status(task, user_id="ann")).state for task in (waiting, middle)]
    assert states == [TaskState.SUCCEEDED] * 2
    assert [call.effect for call in backend.ledger.calls] == [True, True]
    said = [message["content"] for message in provider.ledger[-1].body["messages"][1:]]
    assert said == ["first", answer_to("first"), "second"]
