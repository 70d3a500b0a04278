"""The folder of the embedded Postgres: damaged, refused, or blocked by a stale file."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.launch import free_port
from state.embedded.layout import SHARED
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    ROWS,
    count_rows,
    fetch,
    processes_of,
    write_as_owner,
    write_rows,
)


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
