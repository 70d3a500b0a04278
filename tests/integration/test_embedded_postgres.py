"""The embedded Postgres as real processes: started, shared, killed, adopted, damaged and stopped."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from state.embedded.account import account_for
from state.embedded.binaries import PACKAGE, Binaries, binaries_for, installed
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import free_port
from state.embedded.layout import SHARED
from state.embedded.locks import FileLock
from state.embedded.postmaster import UNKNOWN_STATUS, find_postmaster
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    REPOSITORY,
    command,
    kill_all,
    passable_folder,
    processes_of,
    user_process,
)

ROWS = 1000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with a complete database, copied for each test because making one is slow."""
    with passable_folder() as place:
        subprocess.run(
            command(place / "made"),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        yield place / "made"


@pytest.fixture
def place() -> Iterator[Path]:
    with passable_folder() as place:
        yield place


@pytest.fixture
def folder(made: Path, place: Path) -> Path:
    subprocess.run(["cp", "-a", str(made), str(place / "data")], check=True)
    return place / "data"


async def fetch(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def write_rows(dsn: str) -> None:
    await fetch(dsn, f"CREATE TABLE kept AS SELECT generate_series(1, {ROWS})")


async def count_rows(dsn: str) -> Any:
    return await fetch(dsn, "SELECT count(*) FROM kept")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.005)


def postmaster_pid(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write_as_owner(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)


async def test_a_missing_folder_becomes_a_running_database(place: Path) -> None:
    folder = place / "new" / "data"
    async with EmbeddedPostgres(folder) as postgres:
        password = (folder / "password").read_text().strip()
        port = find_postmaster(folder / "postgres").port  # type: ignore[union-attr]
        assert postgres.owned
        assert postgres.dsn == f"postgresql://orchestrator:{password}@127.0.0.1:{port}/orchestrator"
        assert len(password) >= 43
        assert await fetch(postgres.dsn, "SHOW server_encoding") == "UTF8"
        assert await fetch(postgres.dsn, "SHOW timezone") == "UTC"
        assert await fetch(postgres.dsn, "SHOW fsync") == "on"
        assert await fetch(postgres.dsn, "SHOW unix_socket_directories") == ""
        assert await fetch(postgres.dsn, "SHOW listen_addresses") == "127.0.0.1"
    names = {path.name for path in folder.iterdir()}
    assert names == {"password", "postgres", "postgres.log", "owner.lock", "start.lock"}
    assert (mode(folder / "password"), mode(folder / "postgres.log")) == (0o600, 0o600)


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
        environment = Path(f"/proc/{postmaster_pid(folder)}/environ").read_bytes()
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
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    counting = asyncio.create_task(count())
    async with EmbeddedPostgres(place / "data"):
        counting.cancel()
    assert turns > 15


async def test_it_starts_under_uvloop(folder: Path) -> None:
    async with user_process(folder, loop="uvloop") as user:
        assert await fetch(user.dsn, "SELECT 1") == 1
    assert not processes_of(folder)


async def test_a_umask_of_077_does_not_keep_postgres_from_its_data(place: Path) -> None:
    folder = place / "new" / "data"
    async with user_process(folder, umask=0o077) as user:
        assert await fetch(user.dsn, "SELECT 1") == 1
        assert (folder / "postgres" / "PG_VERSION").exists()


@as_root
async def test_as_root_the_server_runs_as_nobody_and_no_parent_changes_its_mode(place: Path) -> None:
    folder = place / "parent" / "data"
    folder.parent.mkdir(mode=0o751)
    before = [mode(part) for part in folder.parents]
    async with EmbeddedPostgres(folder):
        status = Path(f"/proc/{postmaster_pid(folder)}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    assert f"\nUid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\n" in status
    assert f"\nGid:\t{nobody.pw_gid}\t" in status
    assert "\nGroups:\t \n" in status
    assert [mode(part) for part in folder.parents] == before


@as_root
async def test_as_root_the_owner_of_existing_data_runs_the_server(folder: Path) -> None:
    subprocess.run(["chown", "-R", "12345:12345", str(folder / "postgres")], check=True)
    async with EmbeddedPostgres(folder):
        assert Path(f"/proc/{postmaster_pid(folder)}").stat().st_uid == 12345


@as_root
async def test_as_root_an_unreachable_folder_keeps_its_data_elsewhere_and_says_where(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    lines: list[str] = []
    try:
        async with EmbeddedPostgres(closed, on_progress=lines.append) as postgres:
            home = Path((closed / "location").read_text().strip())
            assert home.parent == SHARED
            assert [str(home) in line for line in lines if "cannot reach" in line] == [True]
            await write_rows(postgres.dsn)
            assert processes_of(home)
        assert not processes_of(home)
        assert mode(closed) == 0o700
        closed.rename(tmp_path / "moved")
        async with EmbeddedPostgres(tmp_path / "moved") as postgres:
            assert await count_rows(postgres.dsn) == ROWS
    finally:
        kill_all(home)
        shutil.rmtree(home)


@as_root
async def test_as_root_data_that_became_unreachable_is_not_replaced_by_an_empty_database(
    folder: Path,
) -> None:
    folder.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=r"cannot be reached by the user nobody.*chmod o\+x"):
        await EmbeddedPostgres(folder).__aenter__()
    assert mode(folder) == 0o700
    assert not (folder / "location").exists()


@as_root
async def test_as_root_unreachable_programs_are_copied_once_by_two_starts(
    tmp_path: Path, place: Path
) -> None:
    source, nobody, lines = installed(), account_for(place / "missing"), list[str]()
    for name in (PACKAGE, f"{PACKAGE}.libs"):
        shutil.copytree(source.root / name, tmp_path / name)
    (tmp_path / PACKAGE / "pginstall" / "bin" / "postgres").chmod(0o700)
    (place / "copying-left-by-a-killed-start").mkdir()
    closed = Binaries(tmp_path, source.version)
    copies = await asyncio.gather(*(binaries_for(nobody, closed, place, lines.append) for _ in range(2)))
    copies.append(await binaries_for(nobody, closed, place, lines.append))
    assert {copy.root for copy in copies} == {place / f"postgres-{source.version}"}
    assert len(lines) == 2
    assert {path.name for path in place.iterdir()} == {f"postgres-{source.version}", "copy.lock"}
    for program in (copies[0].postgres, copies[0].initdb):
        asked = subprocess.run([program, "--version"], user=nobody.uid, stdout=subprocess.PIPE, check=True)
        assert b"18." in asked.stdout


@as_root
async def test_as_root_reachable_programs_are_used_in_place(place: Path) -> None:
    nobody = account_for(place / "missing")
    if not installed().usable_by(nobody):
        pytest.skip("this installation is not open to others")
    assert await binaries_for(nobody, installed(), place, print) == installed()
    assert not list(place.iterdir())


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
        connection = await asyncpg.connect(postgres.dsn)
        work = asyncio.create_task(connection.execute(busy))
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        while not await fetch(postgres.dsn, running):
            pass
        os.kill(postmaster_pid(folder), signal.SIGKILL)
        await postgres.died()
    async with EmbeddedPostgres(folder) as postgres:
        assert await count_rows(postgres.dsn) == ROWS
    assert "pre-existing shared memory block" in (folder / "postgres.log").read_text()
    await asyncio.gather(work, return_exceptions=True)
    connection.terminate()


async def test_a_second_instance_attaches_and_leaves_the_server_running(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as first:
        async with EmbeddedPostgres(folder) as second:
            assert (first.owned, second.owned) == (True, False)
            assert second.dsn == first.dsn
        assert await fetch(first.dsn, "SELECT 1") == 1


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


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", b"12\n", b"-1\n/x\n0\nno port\n"])
async def test_a_damaged_postmaster_pid_is_no_obstacle(folder: Path, content: bytes) -> None:
    write_as_owner(folder / "postgres" / "postmaster.pid", content)
    async with EmbeddedPostgres(folder, start_seconds=5) as postgres:
        assert await fetch(postgres.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("state", ["alive", "zombie"])
async def test_a_postmaster_pid_that_names_another_process_is_no_obstacle(folder: Path, state: str) -> None:
    owner = (folder / "postgres").stat().st_uid if os.geteuid() == 0 else None
    program = ["sleep", "60"] if state == "alive" else ["true"]
    with subprocess.Popen(program, user=owner, stdin=subprocess.DEVNULL) as other:
        if state == "zombie":
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        lines = [
            str(other.pid),
            str(folder / "postgres"),
            "0",
            str(free_port()),
            "",
            "127.0.0.1",
            "1 1",
            "ready",
        ]
        write_as_owner(folder / "postgres" / "postmaster.pid", "\n".join(lines).encode())
        async with EmbeddedPostgres(folder, start_seconds=5) as postgres:
            assert await fetch(postgres.dsn, "SELECT 1") == 1
        other.kill()


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


DAMAGES = [
    ("postgres/PG_VERSION", b"17\n", "made by Postgres 17 and this is Postgres 18"),
    ("postgres/PG_VERSION", b"garbage", "holds no version number"),
    ("postgres/PG_VERSION", None, "PG_VERSION is missing"),
    ("postgres/global/pg_control", None, "global/pg_control is missing"),
    ("postgres/global/pg_control", b"garbage" * 1200, "Postgres does not start"),
    ("postgres/postgresql.conf", None, "could not access the server configuration file"),
    ("postgres/postgresql.conf", b"nonsense = on\n", "configuration file"),
    ("postgres", b"a file", "it is a file"),
    ("password", None, "password is missing"),
    ("password", b"another", "refuses the password"),
]


@pytest.mark.parametrize(("damaged", "content", "words"), DAMAGES)
async def test_damage_is_told_in_one_line_and_nothing_is_deleted(
    folder: Path, damaged: str, content: bytes | None, words: str
) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        await write_rows(postgres.dsn)
    password = (folder / "password").read_text().strip()
    aside = (folder / damaged).rename(folder.parent / "aside")
    if content is not None:
        write_as_owner(folder / damaged, content)
    with pytest.raises(EmbeddedPostgresError, match=words) as caught:
        await EmbeddedPostgres(folder).__aenter__()
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert password not in str(caught.value)
    assert not processes_of(folder)
    aside.rename(folder / damaged)
    async with EmbeddedPostgres(folder) as postgres:
        assert await count_rows(postgres.dsn) == ROWS


async def test_an_option_postgres_refuses_is_told_with_the_log(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r'"work_mem".*postgres\.log'):
        await EmbeddedPostgres(folder, options={"work_mem": "nonsense"}).__aenter__()


async def test_a_secret_in_the_logs_last_line_is_not_repeated(folder: Path) -> None:
    password = (folder / "password").read_text().strip()
    with pytest.raises(EmbeddedPostgresError, match="it ended with status 1") as caught:
        await EmbeddedPostgres(folder, options={"work_mem": password}).__aenter__()
    assert password in (folder / "postgres.log").read_text()
    assert password not in str(caught.value)


async def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("kept")
    for folder in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(EmbeddedPostgresError, match=str(folder)):
            await EmbeddedPostgres(folder).__aenter__()
    assert (tmp_path / "data").read_text() == "kept"


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="no file system that refuses even root")
async def test_a_folder_that_cannot_be_written_is_told() -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"/sys/kernel/data.*not permitted|denied|Read-only"):
        await EmbeddedPostgres(Path("/sys/kernel/data")).__aenter__()


async def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(place: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"waited 0\.1 s"):
        await EmbeddedPostgres(place / "data", start_seconds=0.1).__aenter__()
    assert not processes_of(place)
    assert not list((place / "data").glob("postgres*/"))


async def test_an_owner_without_a_server_is_waited_for_and_then_told(folder: Path) -> None:
    lock = FileLock(folder / "owner.lock")
    assert lock.try_acquire()
    with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} holds .*owner.lock"):
        await EmbeddedPostgres(folder, start_seconds=0.1).__aenter__()
    lock.release()
    async with EmbeddedPostgres(folder) as postgres:
        assert postgres.owned


async def test_cancelling_while_the_database_is_made_leaves_no_process_and_no_half_made_folder(
    place: Path,
) -> None:
    entering = asyncio.create_task(EmbeddedPostgres(place / "data").__aenter__())
    await until(lambda: processes_of(place))
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not processes_of(place)
    assert not list((place / "data").glob("postgres*/"))
    async with EmbeddedPostgres(place / "data") as postgres:
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
