"""Starting a server on a complete data folder."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from state.embedded.cluster import ADVICE, Installation
from state.embedded.errors import EmbeddedPostgresError
from state.embedded.log import last_cause, size_of, text_since
from state.embedded.postmaster import Postmaster, discard_pid_file, read_pid_file
from state.embedded.programs import spawn
from state.embedded.waiting import Deadline, finish

DEFAULTS = {"fsync": "on", "timezone": "UTC", "log_timezone": "UTC"}
RETRY_SECONDS = 0.1
# A port taken since it was found free; processes of a killed server that have not ended yet.
PASSING = (
    "Address already in use",
    "pre-existing shared memory block",
    'lock file "postmaster.pid" already exists',
)


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts the server of one database, for a caller who holds its locks and knows that none is running."""

    installation: Installation
    options: Mapping[str, str]
    choose_port: Callable[[], int]

    async def start(self, deadline: Deadline) -> Postmaster:
        """A server that has let us in; tried again while the cause of a failure passes by itself.

        Raises:
            EmbeddedPostgresError: It ended, or was not ready before the deadline. No process is left.
            OSError: The program cannot be started.
        """
        layout = self.installation.layout
        while True:
            discard_pid_file(layout.data)
            offset = size_of(layout.log)
            started = self._spawn()
            try:
                ready = await self._ready(started, deadline)
            except BaseException:
                await finish(started.stop())
                raise
            if ready is not None:
                return ready
            await self._retry_or_raise(text_since(layout.log, offset), started.status(), deadline)

    def _spawn(self) -> Postmaster:
        layout = self.installation.layout
        port = self.choose_port()
        argv = [str(self.installation.binaries.postgres), "-D", str(layout.data)]
        argv += ["-h", "127.0.0.1", "-p", str(port), "-k", ""]
        for name, value in {**DEFAULTS, **self.options}.items():
            argv += ["-c", f"{name}={value}"]
        child = spawn(argv, self.installation.account, layout.log)
        return Postmaster(child.pid, layout.data, port, ready=False, child=child)

    async def _ready(self, started: Postmaster, deadline: Deadline) -> Postmaster | None:
        log, login = self.installation.layout.log, self.installation.login
        while started.status() is None:
            file = read_pid_file(started.data)
            if file is not None and file.pid == started.pid and file.ready and await login.works(file.port):
                return Postmaster(started.pid, started.data, file.port, ready=True, child=started.child)
            await deadline.pause(f"Postgres is not ready on {started.data}; see {log}")
        return None

    async def _retry_or_raise(self, written: str, status: int | None, deadline: Deadline) -> None:
        layout = self.installation.layout
        cause = last_cause(written, self.installation.login.password)
        trouble = (
            f"Postgres does not start on {layout.data}: {cause or f'it ended with status {status}'}; "
            f"the log is {layout.log}; mend the cause, {ADVICE}"
        )
        if not any(mark in written for mark in PASSING):
            raise EmbeddedPostgresError(trouble)
        await deadline.pause(trouble, seconds=RETRY_SECONDS)
