"""The folder and the programs out of reach of the user who runs the embedded Postgres."""

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from state.embedded.account import account_for
from state.embedded.binaries import PACKAGE, Binaries, binaries_for, installed
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.layout import SHARED
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    ROWS,
    count_rows,
    fetch,
    kill_all,
    of_process,
    postmaster_pid,
    processes_of,
    user_process,
    write_rows,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


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
