"""A start of the embedded Postgres that does not come to its end leaves nothing behind."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import free_port
from state.embedded.locks import FileLock
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    REPOSITORY,
    command,
    fetch,
    kill_all,
    processes_of,
)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.005)


async def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(place: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"waited 0\.1 s"):
        await EmbeddedPostgres(place / "data", start_seconds=0.1).__aenter__()
    assert not processes_of(place)
    assert not list((place / "data").glob("postgres*/"))


async def test_cancelling_while_the_server_starts_leaves_no_process(folder: Path) -> None:
    def cancel_then_choose() -> int:
        entering.cancel()
        return free_port()

    entering = asyncio.create_task(EmbeddedPostgres(folder, choose_port=cancel_then_choose).__aenter__())
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not processes_of(folder)
    assert FileLock(folder / "owner.lock").try_acquire()


async def test_cancelling_while_the_database_is_made_leaves_no_process_and_no_half_made_folder(
    place: Path,
) -> None:
    entering = asyncio.create_task(EmbeddedPostgres(place / "data").__aenter__())
    await until(lambda: len(processes_of(place)) > 1)
    # So that none of them can end by itself.
    kill_all(place, signal.SIGSTOP)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not processes_of(place)
    assert not list((place / "data").glob("postgres*/"))
    async with EmbeddedPostgres(place / "data") as postgres:
        assert postgres.owned


async def test_kill_9_while_the_database_is_made_leaves_nothing_half_made(place: Path) -> None:
    folder = place / "data"
    starter = await asyncio.create_subprocess_exec(*command(folder), cwd=REPOSITORY, stdin=subprocess.PIPE)
    await until(lambda: list(folder.glob("postgres.unfinished-*/postgres/base")))
    starter.kill()
    await starter.wait()
    assert not (folder / "postgres").exists()
    async with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.dsn, "SELECT 1") == 1
        assert not list(folder.glob("postgres.unfinished-*"))
