"""The embedded Postgres killed, and stopped: what is kept, and what is seen."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.log import size_of, text_since
from state.embedded.postmaster import find_postmaster
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    ROWS,
    count_rows,
    fetch,
    kill_all,
    postmaster_pid,
    user_process,
    write_rows,
)


async def test_rows_survive_kill_9_of_the_postmaster(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        await write_rows(postgres.dsn)
        os.kill(postmaster_pid(folder), signal.SIGKILL)
        assert await postgres.died() == -signal.SIGKILL
    async with EmbeddedPostgres(folder) as postgres:
        assert await count_rows(postgres.dsn) == ROWS


async def test_rows_survive_kill_9_of_every_postgres_process(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        await write_rows(postgres.dsn)
        kill_all(folder)
    async with EmbeddedPostgres(folder) as postgres:
        assert postgres.owned
        assert await count_rows(postgres.dsn) == ROWS


async def test_rows_survive_kill_9_of_the_starter_and_every_postgres_process(folder: Path) -> None:
    async with user_process(folder) as user:
        await write_rows(user.dsn)
        await user.kill()
        kill_all(folder)
        async with EmbeddedPostgres(folder) as postgres:
            assert postgres.owned
            assert await count_rows(postgres.dsn) == ROWS


async def test_a_backend_that_outlives_its_postmaster_only_delays_the_start(folder: Path) -> None:
    busy = "DO $$ BEGIN WHILE clock_timestamp() < now() + interval '1.5 s' LOOP END LOOP; END $$"
    async with EmbeddedPostgres(folder) as postgres:
        await write_rows(postgres.dsn)
        logged = size_of(folder / "postgres.log")
        connection = await asyncpg.connect(postgres.dsn)
        work = asyncio.create_task(connection.execute(busy))
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        while not await fetch(postgres.dsn, running):
            pass
        os.kill(postmaster_pid(folder), signal.SIGKILL)
        await postgres.died()
    async with EmbeddedPostgres(folder) as postgres:
        assert await count_rows(postgres.dsn) == ROWS
    assert "pre-existing shared memory block" in text_since(folder / "postgres.log", logged)
    await asyncio.gather(work, return_exceptions=True)
    connection.terminate()


async def test_an_ordered_stop_is_no_death(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        watching = asyncio.create_task(postgres.died())
        await fetch(postgres.dsn, "SELECT 1")
    done, _ = await asyncio.wait({watching}, timeout=0.5)
    watching.cancel()
    assert not done


async def test_a_server_that_ignores_the_fast_shutdown_is_ended_by_the_next_steps(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        backend = connection.get_server_pid()
        os.kill(backend, signal.SIGSTOP)
        postmaster = find_postmaster(folder / "postgres")
        assert postmaster is not None
        with pytest.raises(EmbeddedPostgresError, match="does not end"):
            await postmaster.stop([(signal.SIGINT, 0.2)])
        await postmaster.stop([(signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 5.0)])
        assert await postgres.died() == -signal.SIGKILL
        os.kill(backend, signal.SIGKILL)
        connection.terminate()
