"""A process that uses the embedded Postgres of a folder, and how tests look at its processes and its data.

`python -m tests.fakes.embedded_postgres FOLDER [uvloop]` prints one JSON line once it is in, and leaves when
its standard input ends.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from state.embedded.server import EmbeddedPostgres

REPOSITORY = Path(__file__).parents[2]
ROWS = 1000


@dataclass(frozen=True, slots=True)
class UserProcess:
    """A child process that is inside the context of its EmbeddedPostgres."""

    process: asyncio.subprocess.Process
    dsn: str
    owned: bool

    async def kill(self) -> None:
        """End it as a power failure of one process would."""
        self.process.kill()
        await self.process.wait()

    async def leave(self) -> None:
        """Let it leave its context and end."""
        await self.process.communicate(b"")


@asynccontextmanager
async def user_process(
    folder: Path, *, loop: str = "asyncio", umask: int = -1, environment: Mapping[str, str] = {}
) -> AsyncGenerator[UserProcess]:
    """A process that has entered, and has left when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command(folder, loop),
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        umask=umask,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield UserProcess(process, **json.loads(await process.stdout.readline()))
        await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def command(folder: Path, loop: str = "asyncio") -> list[str]:
    """How to run this module."""
    return [sys.executable, "-m", "tests.fakes.embedded_postgres", str(folder), loop]


@contextmanager
def made_folder() -> Iterator[Path]:
    """A folder with a complete database for many tests: making one is slow, and copying it as well."""
    with passable_folder() as place:
        subprocess.run(
            command(place / "made"),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        yield place / "made"


def copy_of(made: Path, folder: Path) -> Path:
    """A copy with the same owners and modes."""
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    return folder


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A temporary folder that, unlike tmp_path, the user who runs Postgres for root can pass through."""
    with tempfile.TemporaryDirectory(prefix="embedded-") as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        try:
            yield place
        finally:
            kill_all(place)


def kill_all(place: Path, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to every Postgres process below `place`."""
    for pid in processes_of(place):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def processes_of(place: Path) -> list[int]:
    """The living initdb and postgres processes that work below `place`."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in pids if _works_below(pid, place)]


def _works_below(pid: int, place: Path) -> bool:
    try:
        program = Path(f"/proc/{pid}/exe").readlink().name
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        current = Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return False
    return program in ("postgres", "initdb") and (
        os.fsencode(place) in arguments or current.is_relative_to(place)
    )


def postmaster_pid(folder: Path) -> int:
    """The process that postmaster.pid names."""
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def of_process(pid: int, name: str) -> bytes:
    """A file of a process in /proc, as `status`."""
    return Path(f"/proc/{pid}/{name}").read_bytes()


def write_as_owner(path: Path, content: bytes) -> None:
    """Write a file that belongs to the owner of its folder."""
    path.write_bytes(content)
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)


async def fetch(dsn: str, query: str) -> Any:
    """The first value of the first row."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def write_rows(dsn: str) -> None:
    """Commit ROWS rows, in place of those of an earlier test."""
    await fetch(dsn, "DROP TABLE IF EXISTS kept")
    await fetch(dsn, f"CREATE TABLE kept AS SELECT generate_series(1, {ROWS})")


async def count_rows(dsn: str) -> Any:
    """How many of them are there."""
    return await fetch(dsn, "SELECT count(*) FROM kept")


async def _use(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as postgres:
        sys.stdout.write(json.dumps({"dsn": postgres.dsn, "owned": postgres.owned}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run = uvloop.run if "uvloop" in sys.argv else asyncio.run
    run(_use(Path(sys.argv[1])))
