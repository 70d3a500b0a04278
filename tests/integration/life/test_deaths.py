"""The death of a part ends the process, which names it, takes its children along, and is not waited for."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest

from agents.runner import AgentRunner
from main import VERSION
from orchestrator.application import Application
from orchestrator.codec.chunks import encode, left_off
from orchestrator.codec.requests import kept_assignment
from orchestrator.health import HealthService, Probe
from orchestrator.parts import Codec
from orchestrator.server import Listening, listening
from orchestrator.servicer import OrchestratorServicer, ServerInfo
from providers.pool.choice import ClassChoice
from providers.pool.model import PooledModel
from state.models import ReplicaId
from state.postgres.roles import Logins
from tests.fakes.embedded_postgres import passable_folder, postmaster_pid, processes_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import orchestrator_process
from tests.harness.service import scripted_models, settings_for_tests, text_of
from tests.integration.life.callers import NOT_SERVING, SERVING, Watcher, begun
from tests.integration.life.kin import child_of, children_of, is_model, lives, survivors
from tools.registry import ToolRegistry
from wiring.agents import agents_of, graphs_of
from wiring.limits import edge_of, limits_of
from wiring.remotes import remotes_of
from wiring.stores import stores_at

POSTGRES_HAS_ENDED = "llm-orchestrator: the embedded Postgres has ended"
HELD = Script(tokens=("one", " two"), hold_after=1)


def last_line(errors: list[str]) -> str:
    """What the process says to its operator, who is told nothing else but the log."""
    said = [line for line in errors if not line.startswith("{")]
    assert len(said) == 1, said
    return said[0]


async def test_the_death_of_its_postgres_ends_the_process(provider: ScriptedProvider) -> None:
    with passable_folder() as folder:
        async with orchestrator_process(folder, OPENAI_BASE_URL=provider.base_url) as process:
            family = children_of(process.pid)
            assert len(family) > 1
            os.kill(postmaster_pid(folder / ".data"), signal.SIGKILL)
            async with asyncio.timeout(5):
                assert await process.exit_code() == 1
        assert last_line(process.errors) == POSTGRES_HAS_ENDED
        assert await survivors(family, within=3.0) == []
        assert processes_of(folder) == []


async def test_a_process_whose_postgres_has_died_does_not_wait_for_its_runs(
    provider: ScriptedProvider,
) -> None:
    """Nothing they still do could be kept, and whoever starts a new process waits for this one's end."""
    provider.default = HELD
    settings = {"OPENAI_BASE_URL": provider.base_url, "ORCHESTRATOR_SERVER__DRAIN_SECONDS": "6"}
    with passable_folder() as folder:
        async with (
            orchestrator_process(folder, **settings) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            callers = await begun(channel, 2)
            os.kill(postmaster_pid(folder / ".data"), signal.SIGKILL)
            async with asyncio.timeout(4):
                await asyncio.gather(*(caller.finish() for caller in callers))
                assert await process.exit_code() == 1
        assert last_line(process.errors) == POSTGRES_HAS_ENDED
    for caller in callers:
        assert caller.error is not None
        assert caller.error.code() is grpc.StatusCode.UNAVAILABLE


class UnforeseenError(Exception):
    """No error of ours, and none that anybody translates."""


class BreaksOnce:
    """A database that answers, and when it is broken fails in a way that nobody has foreseen."""

    def __init__(self) -> None:
        self.broken = False

    async def probe(self) -> None:
        if self.broken:
            raise UnforeseenError


@asynccontextmanager
async def standing_on(probe: Probe, dsn: str, provider: ScriptedProvider) -> AsyncIterator[Listening]:
    """The service as `main.assembled` makes it, but for what its health is asked of."""
    settings = settings_for_tests()
    async with (
        stores_at(settings, Logins(dsn, None), ReplicaId("0" * 32), version=VERSION) as stores,
        scripted_models(provider.base_url) as models,
        agents_of(settings, stores.agent_versions, models.classes, graphs_of(settings)) as agents,
    ):
        runner, codec = (
            AgentRunner(stores.checkpoints, stores.permissions, graphs_of(settings)),
            Codec(encode, kept_assignment, left_off),
        )
        async with Application(
            stores,
            agents,
            runner,
            models,
            ToolRegistry({}),
            remotes=remotes_of(settings),
            codec=codec,
            limits=limits_of(settings),
        ) as app:
            health = HealthService(
                probe, PooledModel(models, ClassChoice("chat")), app.supervisor, fresh_seconds=0.0
            )
            servicer = OrchestratorServicer(
                app, models, health, ServerInfo("0", lambda: agents.current.names, 1024, 60.0)
            )
            async with listening(servicer, health, app.supervisor, *edge_of(settings.server)) as running:
                yield running


async def test_the_death_of_what_tells_readiness_is_the_death_of_a_part(
    dsn: str, provider: ScriptedProvider
) -> None:
    database = BreaksOnce()
    async with (
        standing_on(database, dsn, provider) as running,
        grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        watcher = Watcher(channel)
        await watcher.told(SERVING)
        database.broken = True
        async with asyncio.timeout(5):
            with pytest.raises(UnforeseenError):
                await running.died()


async def test_readiness_that_ends_because_the_server_stops_is_no_death(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with standing_on(BreaksOnce(), dsn, provider) as running:
        assert not running.readiness.done()
    async with asyncio.timeout(5):
        await running.died()


async def test_a_database_that_lets_nobody_in_is_not_serving_until_it_does(
    tmp_path: Path, dsn: str, server_dsn: str, provider: ScriptedProvider
) -> None:
    """Its name stands for all that refuses at the door: a changed password, a role that may not log in."""
    name = dsn.rpartition("/")[2]
    settings = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
    administrator = await asyncpg.connect(server_dsn)
    try:
        async with (
            orchestrator_process(tmp_path, **settings) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            watcher = Watcher(channel)
            await watcher.told(SERVING)
            await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await administrator.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            await watcher.told(NOT_SERVING)
            await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await watcher.told(SERVING)
            assert await process.stop() == 0
    finally:
        await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await administrator.close()


@pytest.mark.model
async def test_the_death_of_the_local_model_ends_nothing_but_its_answers(tmp_path: Path, dsn: str) -> None:
    async with (
        orchestrator_process(tmp_path, DATABASE_URL=dsn) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        (caller,) = await begun(channel, 1)
        first = await child_of(process.pid, is_model)
        first.kill()
        await caller.finish()
        assert caller.ending == ("PROVIDER_BROKEN", "PROVIDER_BROKEN")
        second = await child_of(process.pid, lambda child: is_model(child) and child != first)
        (again,) = await begun(channel, 1)
        again.call.cancel()
        assert text_of(again.chunks)
        assert lives(second)
        assert await process.stop() == 0
    assert await survivors([first, second]) == []
