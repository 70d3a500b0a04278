"""The server process: found through its pid file, recognised by its command line, ended by signals.

A pid alone proves nothing: it may be a zombie nobody has reaped yet, or belong to another program by now.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.waiting import POLL_SECONDS

UNKNOWN_STATUS = 255
PORT_LINE = 3
STATUS_LINE = 7
STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True, slots=True)
class PidFile:
    """What postmaster.pid says. `ready` is false while the server starts, recovers or stops."""

    pid: int
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The main process of a server. `child` is set when we started it, so that we see its exit status."""

    pid: int
    data: Path
    port: int | None
    ready: bool
    child: subprocess.Popen[bytes] | None = None

    def status(self) -> int | None:
        """None while it runs, then its exit status: negative for a signal, 255 when it was not our child."""
        if self.child is not None:
            return self.child.poll()
        return None if is_postmaster(self.pid, self.data) else UNKNOWN_STATUS

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]] = STOP_STEPS) -> None:
        """Send each signal in turn and wait up to its number of seconds, until the process has ended.

        Raises:
            EmbeddedPostgresError: It outlived all of them.
        """
        try:
            for number, seconds in steps:
                self._signal(number)
                if await self._ended(seconds):
                    return
        except asyncio.CancelledError:
            self._signal(signal.SIGQUIT)
            raise
        raise EmbeddedPostgresError(
            f"the Postgres process {self.pid} of {self.data} does not end: end it by hand"
        )

    def _signal(self, number: signal.Signals) -> None:
        if self.status() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _ended(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.status() is None:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


def read_pid_file(data: Path) -> PidFile | None:
    """The content of postmaster.pid; None when it is missing, damaged, or still being written."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        return PidFile(int(lines[0]), int(lines[PORT_LINE]), ready)
    except (FileNotFoundError, IndexError, ValueError):
        return None


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether the process lives and is the postgres of `data`."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return (
        state not in "ZX" and os.path.basename(argv[0]) == b"postgres" and _data_of(argv) == os.fsencode(data)
    )


def find_postmaster(data: Path) -> Postmaster | None:
    """The living server of `data`, also when its pid file is damaged (its port is then None). Blocking."""
    file = read_pid_file(data)
    if file is not None and is_postmaster(file.pid, data):
        return Postmaster(file.pid, data, file.port, file.ready)
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    # The lowest: a process just forked by the server still has its command line.
    living = min((pid for pid in pids if is_postmaster(pid, data)), default=None)
    return None if living is None else Postmaster(living, data, None, ready=False)


def discard_pid_file(data: Path) -> None:
    """Remove a pid file that would keep a server from starting. Only for who knows that no server lives.

    A file that names no process stays: Postgres replaces it, after looking for shared memory still in use.
    """
    file = read_pid_file(data)
    if file is None or Path(f"/proc/{file.pid}").exists():
        (data / "postmaster.pid").unlink(missing_ok=True)


def _data_of(argv: Sequence[bytes]) -> bytes:
    return next((value for name, value in pairwise(argv) if name == b"-D"), b"")
