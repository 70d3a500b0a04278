"""The folder of the embedded Postgres: out of reach, half made, damaged, or blocked by a stale file."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state.embedded.account import account_for
from state.embedded.binaries import PACKAGE, Binaries, binaries_for, installed
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import free_port
from state.embedded.layout import SHARED
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    REPOSITORY,
    ROWS,
    command,
    copy_of,
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

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


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


@pytest.fixture
def copied(made: Path, place: Path) -> Path:
    return copy_of(made, place / "data")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.005)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def chown_tree(folder: Path, uid: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, uid, uid)


def closed_copy(source: Binaries, folder: Path) -> Binaries:
    """The programs, as an installer with a strict umask leaves them."""
    for name in (PACKAGE, f"{PACKAGE}.libs"):
        shutil.copytree(source.root / name, folder / name)
    (folder / PACKAGE).chmod(0o700)
    return Binaries(folder, source.version)


def version_printed(program: Path, uid: int) -> str:
    return subprocess.run([program, "--version"], user=uid, capture_output=True, check=True).stdout.decode()


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """Another content, or none, in the place of a file or folder, which is put back."""
    aside = path.rename(path.with_name("aside"))
    if content is not None:
        write_as_owner(path, content)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        aside.rename(path)


def ended_process(uid: int | None) -> subprocess.Popen[bytes]:
    """A zombie: nobody has waited for it."""
    process = subprocess.Popen(["true"], user=uid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def sleeping_process(uid: int | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], user=uid)


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
        status = of_process(postmaster_pid(folder), "status").decode()
    nobody = pwd.getpwnam("nobody")
    assert f"\nUid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}\n" in status
    assert f"\nGid:\t{nobody.pw_gid}\t" in status
    assert "\nGroups:\t \n" in status
    assert [mode(part) for part in folder.parents] == before


@as_root
async def test_as_root_the_owner_of_existing_data_runs_the_server(copied: Path) -> None:
    chown_tree(copied / "postgres", 12345)
    async with EmbeddedPostgres(copied):
        assert b"\nUid:\t12345\t" in of_process(postmaster_pid(copied), "status")


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
    copied: Path,
) -> None:
    os.chmod(copied, 0o700)
    with pytest.raises(EmbeddedPostgresError, match=r"cannot be reached by the user nobody.*chmod o\+x"):
        await EmbeddedPostgres(copied).__aenter__()
    assert mode(copied) == 0o700
    assert not (copied / "location").exists()


@as_root
async def test_as_root_unreachable_programs_are_copied_once_by_two_starts(place: Path) -> None:
    source, nobody, lines = installed(), account_for(place / "missing"), list[str]()
    shared, closed = place / "shared", closed_copy(source, place / "closed")
    (shared / "copying-left-by-a-killed-start").mkdir(parents=True)
    copies = await asyncio.gather(*(binaries_for(nobody, closed, shared, lines.append) for _ in range(2)))
    copies.append(await binaries_for(nobody, closed, shared, lines.append))
    assert {copy.root for copy in copies} == {shared / f"postgres-{source.version}"}
    assert len(lines) == 2
    assert set(os.listdir(shared)) == {f"postgres-{source.version}", "copy.lock"}
    for program in (copies[0].postgres, copies[0].initdb):
        assert " 18." in version_printed(program, nobody.uid)


@as_root
async def test_as_root_reachable_programs_are_used_in_place(place: Path) -> None:
    nobody = account_for(place / "missing")
    if not installed().usable_by(nobody):
        pytest.skip("this installation is not open to others")
    assert await binaries_for(nobody, installed(), place, print) == installed()
    assert os.listdir(place) == []


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", b"12\n", b"-1\n/x\n0\nno port\n"])
async def test_a_damaged_postmaster_pid_is_no_obstacle(folder: Path, content: bytes) -> None:
    write_as_owner(folder / "postgres" / "postmaster.pid", content)
    async with EmbeddedPostgres(folder, start_seconds=5) as postgres:
        assert await fetch(postgres.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("process_of", [sleeping_process, ended_process])
async def test_a_postmaster_pid_that_names_another_process_is_no_obstacle(
    folder: Path, process_of: Callable[[int | None], subprocess.Popen[bytes]]
) -> None:
    data = folder / "postgres"
    # Of the user who runs Postgres: it takes a process it may not signal for no server by itself.
    with process_of(data.stat().st_uid if os.geteuid() == 0 else None) as other:
        lines = [str(other.pid), str(data), "0", str(free_port()), "", "127.0.0.1", "1 1", "ready"]
        write_as_owner(data / "postmaster.pid", "\n".join(lines).encode())
        async with EmbeddedPostgres(folder, start_seconds=5) as postgres:
            assert await fetch(postgres.dsn, "SELECT 1") == 1
        other.kill()


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
    with (
        replaced(folder / damaged, content),
        pytest.raises(EmbeddedPostgresError, match=words) as caught,
    ):
        await EmbeddedPostgres(folder).__aenter__()
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert password not in str(caught.value)
    assert not processes_of(folder)
    async with EmbeddedPostgres(folder) as postgres:
        assert await count_rows(postgres.dsn) == ROWS


async def test_a_location_that_is_not_ours_is_told(tmp_path: Path) -> None:
    (tmp_path / "location").write_text("/etc\n")
    with pytest.raises(EmbeddedPostgresError, match=f"{tmp_path}/location must name a folder in {SHARED}"):
        await EmbeddedPostgres(tmp_path).__aenter__()


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
    with pytest.raises(
        EmbeddedPostgresError, match=r"/sys/kernel/data cannot be made: .*(not permitted|denied|Read-only)"
    ):
        await EmbeddedPostgres(Path("/sys/kernel/data")).__aenter__()


async def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(place: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"waited 0\.1 s"):
        await EmbeddedPostgres(place / "data", start_seconds=0.1).__aenter__()
    assert not processes_of(place)
    assert not list((place / "data").glob("postgres*/"))


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
