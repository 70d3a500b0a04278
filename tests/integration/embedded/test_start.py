"""The embedded Postgres as real processes: what a start makes, with which settings and environment."""

import asyncio
import os
import socket
import stat
import time
from itertools import chain, pairwise, repeat
from pathlib import Path

import asyncpg
import pytest

from state.embedded.launch import free_port
from state.embedded.postmaster import find_postmaster
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    fetch,
    of_process,
    postmaster_pid,
    processes_of,
    user_process,
)


async def test_a_missing_folder_becomes_a_running_database(place: Path) -> None:
    folder = place / "new" / "data"
    async with EmbeddedPostgres(folder) as postgres:
        password = (folder / "password").read_text().strip()
        running = find_postmaster(folder / "postgres")
        assert running is not None
        assert postgres.owned
        assert postgres.dsn == f"postgresql://orchestrator:{password}@127.0.0.1:{running.port}/orchestrator"
        assert len(password) >= 43
        assert await fetch(postgres.dsn, "SHOW server_encoding") == "UTF8"
        assert await fetch(postgres.dsn, "SHOW timezone") == "UTC"
        assert await fetch(postgres.dsn, "SHOW fsync") == "on"
        assert await fetch(postgres.dsn, "SHOW unix_socket_directories") == ""
        assert await fetch(postgres.dsn, "SHOW listen_addresses") == "127.0.0.1"
    names = {path.name for path in folder.iterdir()}
    assert names == {"password", "postgres", "postgres.log", "owner.lock", "start.lock"}
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("password", "postgres.log")]
    assert modes == [0o600, 0o600]


async def test_only_the_password_opens_the_database(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        password = (folder / "password").read_text().strip()
        for database in ("orchestrator", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await fetch(
                    postgres.dsn.replace(password, "guess").replace("/orch", f"/{database}"), "SELECT 1"
                )


async def test_leaving_stops_every_process(folder: Path) -> None:
    async with EmbeddedPostgres(folder):
        assert processes_of(folder)
    assert not processes_of(folder)


async def test_options_win_over_the_defaults(folder: Path) -> None:
    async with EmbeddedPostgres(folder, options={"fsync": "off", "work_mem": "5MB"}) as postgres:
        assert await fetch(postgres.dsn, "SHOW fsync") == "off"
        assert await fetch(postgres.dsn, "SHOW work_mem") == "5MB"


async def test_the_ctrl_c_of_a_terminal_does_not_reach_the_server(folder: Path) -> None:
    async with EmbeddedPostgres(folder):
        assert os.getsid(postmaster_pid(folder)) != os.getsid(0)


async def test_the_servers_environment_holds_nothing_of_ours(folder: Path) -> None:
    async with user_process(folder, environment={"PROVIDER_KEY": "sk-secret", "PGDATA": "/nowhere"}):
        environment = of_process(postmaster_pid(folder), "environ")
    assert b"LC_ALL" in environment
    assert b"sk-secret" not in environment
    assert b"PGDATA=/nowhere" not in environment


async def test_a_port_taken_in_between_is_replaced_by_another(folder: Path) -> None:
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ports = chain([thief.getsockname()[1]], repeat(free))
        async with EmbeddedPostgres(folder, choose_port=lambda: next(ports)) as postgres:
            assert f":{free}/" in postgres.dsn
            assert await fetch(postgres.dsn, "SELECT 1") == 1


async def test_the_event_loop_runs_while_a_database_is_made(place: Path) -> None:
    moments = [time.monotonic()]

    async def note() -> None:
        while True:
            await asyncio.sleep(0)
            moments.append(time.monotonic())

    noting = asyncio.create_task(note())
    async with EmbeddedPostgres(place / "data"):
        noting.cancel()
    longest = max(later - earlier for earlier, later in pairwise(moments))
    assert longest < (moments[-1] - moments[0]) / 2


async def test_it_starts_under_uvloop(folder: Path) -> None:
    async with user_process(folder, loop="uvloop") as user:
        assert await fetch(user.dsn, "SELECT 1") == 1
    assert not processes_of(folder)
