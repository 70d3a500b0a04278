"""A start that is told to stop, or fails, half-way: it ends soon and leaves no process behind."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.embedded_postgres import passable_folder, processes_of
from tests.fakes.scripted_provider.addresses import refusing_address, silent_address
from tests.harness.process import OrchestratorProcess, starting_process
from tests.harness.proxy import TcpProxy
from tests.integration.life.kin import child_of, children_of, is_model, survivors

NO_PROVIDER = "http://127.0.0.1:1/v1"
WAITING = "postgres: cannot be reached yet, waiting"
END_SECONDS = 3.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def taken() -> Iterator[str]:
    """An address at which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def nobodys(address: str) -> str:
    """A database's address at which there is none."""
    return f"postgresql://user:secret@{address}/db"


async def stopped(process: OrchestratorProcess) -> int:
    """The exit code after a SIGTERM."""
    async with asyncio.timeout(END_SECONDS):
        return await process.stop()


async def connecting(pid: int) -> None:
    """Wait until it has asked for a connection that nobody has granted."""
    process = psutil.Process(pid)
    async with asyncio.timeout(20):
        while not any(c.status == psutil.CONN_SYN_SENT for c in process.net_connections()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("step", ["making a database in", "starting Postgres on"])
async def test_sigterm_while_its_postgres_is_made_or_started(folder: Path, step: str) -> None:
    async with starting_process(folder, OPENAI_BASE_URL=NO_PROVIDER) as process:
        await process.says(f"{step} {folder / '.data' / 'postgres'}")
        await child_of(process.pid, lambda child: child.pid in processes_of(folder))
        family = children_of(process.pid)
        assert await stopped(process) == 0
    assert await survivors(family) == []
    assert processes_of(folder) == []
    assert list((folder / ".data").glob("postgres.unfinished-*")) == []
    assert process.errors == []


async def test_sigterm_between_two_attempts_to_reach_a_database(tmp_path: Path) -> None:
    with refusing_address() as address:
        settings = {"DATABASE_URL": nobodys(address), "OPENAI_BASE_URL": NO_PROVIDER}
        async with starting_process(tmp_path, **settings) as process:
            await process.says(WAITING)
            assert await stopped(process) == 0
    assert process.errors == []


async def test_sigterm_while_a_database_does_not_answer(tmp_path: Path) -> None:
    with silent_address() as address:
        settings = {"DATABASE_URL": nobodys(address), "OPENAI_BASE_URL": NO_PROVIDER}
        async with starting_process(tmp_path, **settings) as process:
            await connecting(process.pid)
            assert await stopped(process) == 0
    assert process.errors == []


@pytest.mark.model
async def test_sigterm_while_the_local_model_loads(tmp_path: Path) -> None:
    with refusing_address() as address:
        async with starting_process(tmp_path, DATABASE_URL=nobodys(address)) as process:
            await process.says(WAITING)
            model = await child_of(process.pid, is_model)
            assert await stopped(process) == 0
    assert await survivors([model]) == []


async def test_an_address_in_use_leaves_no_postgres_behind(folder: Path, taken: str) -> None:
    settings = {"OPENAI_BASE_URL": NO_PROVIDER, "ORCHESTRATOR_SERVER__ADDRESS": taken}
    async with starting_process(folder, **settings) as process:
        await child_of(process.pid, lambda child: child.pid in processes_of(folder))
        assert await process.exit_code() == 1
    assert processes_of(folder) == []
    assert refusals(process, taken) == 1


@pytest.mark.model
async def test_an_address_in_use_leaves_no_model_behind(tmp_path: Path, dsn: str, taken: str) -> None:
    async with TcpProxy.to(dsn) as proxy:
        await proxy.cut()
        settings = {"DATABASE_URL": proxy.dsn, "ORCHESTRATOR_SERVER__ADDRESS": taken}
        async with starting_process(tmp_path, **settings) as process:
            model = await child_of(process.pid, is_model)
            await proxy.restore()
            assert await process.exit_code() == 1
    assert await survivors([model]) == []
    assert refusals(process, taken) == 1


def refusals(process: OrchestratorProcess, address: str) -> int:
    """How many lines tell the operator that the address cannot be had."""
    return sum(line.startswith(f"llm-orchestrator: cannot listen on {address}") for line in process.errors)


async def test_a_start_that_fails_half_way_says_why_and_nothing_else(folder: Path, taken: str) -> None:
    settings = {"OPENAI_BASE_URL": NO_PROVIDER, "ORCHESTRATOR_SERVER__ADDRESS": taken}
    async with starting_process(folder, **settings) as process:
        assert await process.exit_code() == 1
    assert len([line for line in process.errors if not line.startswith("{")]) == 1
