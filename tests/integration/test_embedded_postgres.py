"""The embedded Postgres as real processes: started, shared, killed, adopted and stopped."""

import asyncio
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path

import asyncpg
import pytest

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import free_port
from state.embedded.locks import FileLock
from state.embedded.log import size_of, text_since
from state.embedded.postmaster import UNKNOWN_STATUS, find_postmaster
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    ROWS,
    count_rows,
    fetch,
    kill_all,
    made_folder,
    of_process,
    passable_folder,
    postmaster_pid,
    processes_of,
    user_process,
    write_as_owner,
    write_rows,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with made_folder() as made:
        yield made


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as place:
        yield place


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    yield made
    kill_all(made)


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


async def test_a_second_instance_attaches_and_leaves_the_server_running(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as first:
        async with EmbeddedPostgres(folder) as second:
            assert (first.owned, second.owned) == (True, False)
            assert second.dsn == first.dsn
        assert await fetch(first.dsn, "SELECT 1") == 1


async def test_nobody_attaches_while_a_start_may_still_fail(folder: Path) -> None:
    starting = FileLock(folder / "start.lock")
    async with EmbeddedPostgres(folder):
        assert starting.try_acquire()
        with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} holds .*start.lock"):
            await EmbeddedPostgres(folder, start_seconds=0.1).__aenter__()
        starting.release()
        async with EmbeddedPostgres(folder) as second:
            assert not second.owned


async def test_one_of_two_processes_that_start_at_once_owns_the_server(place: Path) -> None:
    folder = place / "data"
    async with user_process(folder) as first, user_process(folder) as second:
        assert sorted([first.owned, second.owned]) == [False, True]
        assert first.dsn == second.dsn
        attached, owner = sorted([first, second], key=lambda user: user.owned)
        await attached.leave()
        assert await fetch(owner.dsn, "SELECT 1") == 1
        await owner.leave()
        assert not processes_of(folder)


async def test_one_of_five_instances_that_start_at_once_owns_the_server(place: Path) -> None:
    instances = [EmbeddedPostgres(place / "data") for _ in range(5)]
    await asyncio.gather(*(instance.__aenter__() for instance in instances))
    assert sorted(instance.owned for instance in instances) == [False] * 4 + [True]
    assert len({instance.dsn for instance in instances}) == 1
    await asyncio.gather(*(instance.__aexit__(None, None, None) for instance in instances))
    assert not processes_of(place)


async def test_the_next_start_adopts_the_server_of_a_killed_starter_and_stops_it(folder: Path) -> None:
    async with user_process(folder) as user:
        await write_rows(user.dsn)
        pid = postmaster_pid(folder)
        await user.kill()
        async with EmbeddedPostgres(folder) as postgres:
            assert postgres.owned
            assert (postgres.dsn, postmaster_pid(folder)) == (user.dsn, pid)
            assert await count_rows(postgres.dsn) == ROWS
        assert not processes_of(folder)


async def test_an_attached_process_that_starts_again_adopts_after_its_owner_was_killed(folder: Path) -> None:
    async with user_process(folder) as owner, EmbeddedPostgres(folder) as attached:
        await owner.kill()
        async with EmbeddedPostgres(folder) as adopting:
            assert (attached.owned, adopting.owned) == (False, True)
        assert await attached.died() == UNKNOWN_STATUS


async def test_the_death_of_an_adopted_server_is_seen(folder: Path) -> None:
    async with user_process(folder) as user:
        await user.kill()
        async with EmbeddedPostgres(folder) as postgres:
            os.kill(postmaster_pid(folder), signal.SIGKILL)
            assert await postgres.died() == UNKNOWN_STATUS


async def test_an_ordered_stop_is_no_death(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        watching = asyncio.create_task(postgres.died())
        await fetch(postgres.dsn, "SELECT 1")
    done, _ = await asyncio.wait({watching}, timeout=0.5)
    watching.cancel()
    assert not done


async def test_a_living_orphan_with_a_damaged_postmaster_pid_is_replaced(folder: Path) -> None:
    async with user_process(folder) as user:
        await write_rows(user.dsn)
        pid = postmaster_pid(folder)
        await user.kill()
        write_as_owner(folder / "postgres" / "postmaster.pid", b"garbage")
        async with EmbeddedPostgres(folder) as postgres:
            assert postmaster_pid(folder) != pid
            assert await count_rows(postgres.dsn) == ROWS
        assert not processes_of(folder)


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


async def test_an_owner_without_a_server_is_waited_for_and_then_told(folder: Path) -> None:
    lock = FileLock(folder / "owner.lock")
    assert lock.try_acquire()
    with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} holds .*owner.lock"):
        await EmbeddedPostgres(folder, start_seconds=0.1).__aenter__()
    lock.release()
    async with EmbeddedPostgres(folder) as postgres:
        assert postgres.owned


async def test_cancelling_while_the_server_starts_leaves_no_process(folder: Path) -> None:
    def cancel_then_choose() -> int:
        entering.cancel()
        return free_port()

    entering = asyncio.create_task(EmbeddedPostgres(folder, choose_port=cancel_then_choose).__aenter__())
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not processes_of(folder)
    assert FileLock(folder / "owner.lock").try_acquire()
