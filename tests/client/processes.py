"""Callers as processes: with pipes, or on a terminal."""

import asyncio
import fcntl
import os
import pty
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness.process import ROOT

_SECONDS = 30
ORCHESTRATOR = (sys.executable, "-W", "error", "-m", "llm_orchestrator_client")


def environment(**more: str) -> dict[str, str]:
    """What a caller's process gets of ours."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'client'}:{ROOT}", "ORCHESTRATOR_USER": "ann", **more}


SILENT = {"GRPC_VERBOSITY": "NONE"}
"""gRPC's own core may say something of its threads when a process ends."""


async def started(*command: str, stdin: str | None = None, **more: str) -> asyncio.subprocess.Process:
    """A process with pipes."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment(**{**SILENT, **more}),
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_hear_interrupts,
    )
    if stdin is not None and process.stdin is not None:
        process.stdin.write(stdin.encode())
        process.stdin.close()
    return process


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Its exit code, output and errors."""
    async with asyncio.timeout(_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def finished(*command: str, stdin: str | None = None, **more: str) -> tuple[int, str, str]:
    """The same of one that needs nothing more."""
    return await ended(await started(*command, stdin=stdin, **more))


class Terminal:
    """A process on a terminal of its own. `screen`: all that it wrote so far, control characters too."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self.process = process
        self.screen = ""
        self._fd = fd
        self._written = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    async def shows(self, text: str) -> None:
        """Wait until that was written."""
        async with asyncio.timeout(_SECONDS):
            while text not in self.screen:
                self._written.clear()
                await self._written.wait()

    def type(self, text: str) -> None:
        """As a person would; "\\x03" is Ctrl-C."""
        os.write(self._fd, text.encode())

    async def exit_code(self) -> int:
        """Once it has ended."""
        async with asyncio.timeout(_SECONDS):
            return await self.process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux says so when the other side is gone
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.screen += data.decode(errors="replace")
        self._written.set()


@asynccontextmanager
async def on_terminal(*command: str, **more: str) -> AsyncIterator[Terminal]:
    """A process whose terminal this is, so that Ctrl-C reaches it."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment(TERM="xterm-256color", **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: _take(theirs),
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        terminal.close()


def _take(fd: int) -> None:
    """Make it the process's controlling terminal."""
    _hear_interrupts()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def _hear_interrupts() -> None:
    """Also where the tests run behind a shell's `&`, which has its children ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
