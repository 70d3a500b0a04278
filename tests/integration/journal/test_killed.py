"""kill -9 and a full disk while the journal is filled and drained: no task is lost, none done twice."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import grpc

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.accepted import Callers
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.proxy import TcpProxy
from tests.harness.scale import scaled

TASKS = scaled(60)
SLOW = """
CREATE FUNCTION orchestrator.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON orchestrator.runs FOR EACH STATEMENT EXECUTE FUNCTION orchestrator.slow();
"""


@asynccontextmanager
async def process(
    folder: Path, dsn: str, provider: ScriptedProvider, **settings: str
) -> AsyncIterator[OrchestratorProcess]:
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_JOURNAL__FOLDER": str(folder),
        "ORCHESTRATOR_JOURNAL__RETRY_SECONDS": "0.05",
        "ORCHESTRATOR_RUN__LEASE_SECONDS": "1",
        "ORCHESTRATOR_RUN__BEAT_SECONDS": "0.3",
        "ORCHESTRATOR_RUN__REAP_SECONDS": "0.1",
        **settings,
    }
    async with orchestrator_process(folder, **environment) as process:
        yield process


@contextmanager
def calling(callers: Callers, process: OrchestratorProcess) -> Iterator[None]:
    task = asyncio.create_task(callers.call(process.address))
    try:
        yield
    finally:
        task.cancel()


async def test_no_accepted_task_is_lost_when_the_process_is_killed_while_it_accepts(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> None:
    callers = Callers()
    async with TcpProxy.to(dsn) as proxy:
        for round_ in range(1, 4):
            async with process(folder, proxy.dsn, provider) as killed:
                with calling(callers, killed):
                    await callers.promised(round_ * TASKS // 2)
                    await proxy.cut()
                    await callers.promised(round_ * TASKS)
                    await killed.kill()
            await proxy.restore()
        async with process(folder, proxy.dsn, provider):
            assert await callers.lost(dsn, within=30.0) == []
    assert await callers.twice(dsn) == []
    assert callers.spooled >= TASKS
    assert callers.refusals.keys() <= {grpc.StatusCode.UNAVAILABLE}


async def test_no_accepted_task_is_lost_when_the_process_is_killed_while_it_drains(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> None:
    callers = Callers()
    kills = 3
    async with TcpProxy.to(dsn) as proxy:
        async with process(folder, proxy.dsn, provider) as killed:
            await proxy.cut()
            with calling(callers, killed):
                await callers.promised(TASKS * kills)
            await _execute(dsn, SLOW)
            await proxy.restore()
            await _runs(dsn, 10)
            await killed.kill()
        for _ in range(kills - 1):
            before = await _count(dsn)
            async with process(folder, proxy.dsn, provider) as killed:
                await _runs(dsn, before + 10)
                await killed.kill()
        assert await _count(dsn) < len(callers.accepted)
        async with process(folder, proxy.dsn, provider):
            assert await callers.lost(dsn, within=30.0) == []
    assert await callers.twice(dsn) == []


async def test_a_full_disk_refuses_tasks_and_loses_none(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> None:
    callers = Callers()
    async with TcpProxy.to(dsn) as proxy, process(folder, proxy.dsn, provider) as full:
        await proxy.cut()
        with calling(callers, full):
            await callers.promised(TASKS // 2)
            file = folder / "outage.sqlite"
            resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (file.stat().st_size, resource.RLIM_INFINITY))
            async with asyncio.timeout(20):
                while callers.refusals[grpc.StatusCode.UNAVAILABLE] < 20:  # noqa: ASYNC110 - refusals come
                    await asyncio.sleep(0.05)
            kept = len(callers.accepted)
            resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            await callers.promised(kept + 20)
        await proxy.restore()
        assert await callers.lost(dsn, within=30.0) == []
    assert await callers.twice(dsn) == []
    assert callers.refusals.keys() == {grpc.StatusCode.UNAVAILABLE}


async def _execute(dsn: str, statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statements)
    await connection.close()


async def _count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM orchestrator.runs"))
    finally:
        await connection.close()


async def _runs(dsn: str, number: int) -> None:
    """Return when there are so many runs."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(20):
            while await connection.fetchval("SELECT count(*) FROM orchestrator.runs") < number:
                pass
    finally:
        await connection.close()
