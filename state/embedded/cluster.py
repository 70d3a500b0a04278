"""The data folder: recognised, or made so that it is either complete or absent."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from state.embedded.account import Account
from state.embedded.binaries import Binaries
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.layout import Layout
from state.embedded.log import last_cause, size_of, text_since
from state.embedded.login import USER, Login
from state.embedded.programs import spawn
from state.embedded.waiting import Deadline, finish

UNFINISHED = "postgres.unfinished-"
REMOVE_ATTEMPTS = 50
ADVICE = "restore the folder from a backup, or move it away to start with an empty database"


@dataclass(frozen=True, slots=True)
class Installation:
    """All that a start needs: the files, the user that runs the programs, the programs, and the login."""

    layout: Layout
    account: Account
    binaries: Binaries
    login: Login


def has_cluster(layout: Layout, major: str) -> bool:
    """Whether there is a data folder of Postgres `major`; false when there is none yet.

    Raises:
        EmbeddedPostgresError: There is one that cannot be used. Nothing in it is changed.
    """
    data = layout.data
    if data.exists() and not data.is_dir():
        raise _unusable(layout, "it is a file, not a folder")
    if not data.exists() or not any(data.iterdir()):
        return False
    try:
        made_by = (data / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError as error:
        raise _unusable(layout, "it is not a Postgres data folder, PG_VERSION is missing") from error
    if not made_by.isdecimal():
        raise _unusable(layout, "it is damaged, PG_VERSION holds no version number")
    if made_by != major:
        raise _unusable(
            layout,
            f"it was made by Postgres {made_by} and this is Postgres {major}",
            f"dump it with Postgres {made_by}, or move it away to start with an empty database",
        )
    if not (data / "global" / "pg_control").exists():
        raise _unusable(layout, "it is damaged, global/pg_control is missing")
    return True


async def make_cluster(installation: Installation, deadline: Deadline) -> None:
    """Make the data folder beside its place and move it there when complete.

    Raises:
        EmbeddedPostgresError: initdb failed, or did not end before the deadline.
        OSError: The folder cannot be written.
    """
    layout = installation.layout
    await asyncio.to_thread(_remove_unfinished, layout.home)
    work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=layout.home))
    try:
        secret = work / "password"
        secret.touch(0o600)
        secret.write_text(installation.login.password)
        installation.account.own(secret)
        installation.account.own(work)
        await _initdb(installation, work, deadline)
        (work / "postgres").rename(layout.data)
    finally:
        await finish(asyncio.to_thread(_remove, work))


async def _initdb(installation: Installation, work: Path, deadline: Deadline) -> None:
    layout = installation.layout
    offset = size_of(layout.log)
    argv = [str(installation.binaries.initdb), "-D", str(work / "postgres"), "-U", USER]
    argv += [f"--pwfile={work / 'password'}", "--auth=scram-sha-256", "--no-locale", "-E", "UTF8"]
    # The password is 256 random bits: hashing it thousands of times would only make each connect slow.
    argv += ["-c", "scram_iterations=1", "--no-sync", "--no-instructions"]
    child = spawn(argv, installation.account, layout.log)
    try:
        while child.poll() is None:
            await deadline.pause(f"initdb has not finished {layout.data}; see {layout.log}")
    except BaseException:
        # The whole group: initdb runs servers of its own, which would outlive it.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    if child.returncode != 0:
        cause = last_cause(text_since(layout.log, offset), installation.login.password)
        raise EmbeddedPostgresError(
            f"no database could be made in {layout.data}: "
            f"{cause or f'initdb ended with {child.returncode}'}; see {layout.log}, and try again"
        )


def _remove_unfinished(home: Path) -> None:
    for work in home.glob(f"{UNFINISHED}*"):
        _remove(work)


def _remove(work: Path) -> None:
    # Again until it is gone: an initdb that outlived its starter may still be writing.
    for _ in range(REMOVE_ATTEMPTS):
        shutil.rmtree(work, ignore_errors=True)
        if not work.exists():
            return
        time.sleep(0.02)


def _unusable(layout: Layout, cause: str, advice: str = ADVICE) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"the database folder {layout.data} cannot be used: {cause}; the log is {layout.log}; {advice}"
    )
