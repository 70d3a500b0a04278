"""Postgres is stopped while tasks are started, with the journal on: none is lost, none is done twice."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from orchestrator.lifecycle import ended_after_cancel
from state.embedded.launch import free_port
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import passable_folder, postmaster_pid
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.accepted import Callers
from tests.harness.journal import lasting_folder
from tests.harness.process import orchestrator_process, starting_process
from tests.harness.scale import SCALE, SOAK, report

AWAY_SECONDS = 30.0 if SOAK else 4.0
BEFORE_AND_AFTER = 40
PAUSE_SECONDS = 0.1

pytestmark = pytest.mark.timeout(120 * SCALE)


class StoppedPostgres:
    """A server that is stopped at once and started again, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._server = self._new()

    def _new(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self._folder, choose_port=lambda: self._port)

    async def start(self) -> str:
        """Its address, once it is there."""
        self._server = self._new()
        await self._server.__aenter__()
        return self._server.dsn

    async def stop(self) -> None:
        os.kill(postmaster_pid(self._folder), signal.SIGQUIT)  # Postgres: immediate shutdown
        await self._server.died()
        await self.close()

    async def close(self) -> None:
        await self._server.__aexit__(None, None, None)


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "stopped, and the process killed"])
async def test_no_accepted_task_is_lost_or_done_twice_while_postgres_is_stopped(killed: bool) -> None:
    callers = Callers()
    async with AsyncExitStack() as stack:
        postgres = StoppedPostgres(stack.enter_context(passable_folder()))
        folder = stack.enter_context(lasting_folder())
        provider = await stack.enter_async_context(ScriptedProvider())
        dsn = await postgres.start()
        stack.push_async_callback(postgres.close)
        environment = {
            "DATABASE_URL": dsn,
            "OPENAI_BASE_URL": provider.base_url,
            "ORCHESTRATOR_JOURNAL__FOLDER": str(folder),
            "ORCHESTRATOR_DATABASE__CONNECT_SECONDS": "120",
        }
        process = await stack.enter_async_context(orchestrator_process(folder, **environment))
        calling = asyncio.create_task(callers.call(process.address, pause_seconds=PAUSE_SECONDS))
        await callers.promised(BEFORE_AND_AFTER)
        await postgres.stop()
        before = len(callers.accepted)
        await asyncio.sleep(AWAY_SECONDS / 2)
        if killed:
            await process.kill()
            await ended_after_cancel(calling)
            process = await stack.enter_async_context(starting_process(folder, **environment))
        await asyncio.sleep(AWAY_SECONDS / 2)
        during = len(callers.accepted) - before
        await postgres.start()
        if killed:
            calling = asyncio.create_task(callers.call(await process.serving(), pause_seconds=PAUSE_SECONDS))
        await callers.promised(before + during + BEFORE_AND_AFTER)
        await ended_after_cancel(calling)
        assert await callers.lost(dsn, within=60.0 * SCALE) == []
        assert await callers.twice(dsn) == []
    report(
        f"{AWAY_SECONDS:g} s without Postgres: {len(callers.accepted)} tasks accepted, {during} meanwhile, "
        f"0 lost, 0 twice; refused: {callers.refusals.total()}"
    )
    assert callers.spooled >= during > 0
    assert callers.refusals.keys() <= {grpc.StatusCode.UNAVAILABLE}
