"""Processes that a script starts, hears and stops."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

_STOP_SECONDS = 30.0


class ChildError(Exception):
    """A process did not start, or ended by itself; the message says which."""


class Child:
    """A running process. Its lines are passed on to standard output with its name in front."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    async def read(self) -> None:
        """Pass its lines on, to their end."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            sys.stdout.write(f"{self.name}: {line}\n")
            sys.stdout.flush()
            self._lines.put_nowait(line)

    async def line_with(self, beginning: str, stopped: asyncio.Event) -> str:
        """What follows this beginning of a line, once it was said; empty where the script is stopped before.

        Raises:
            ChildError: The process has ended without saying so.
        """
        finding = asyncio.create_task(self._find(beginning))
        others = [asyncio.create_task(self.process.wait()), asyncio.create_task(stopped.wait())]
        try:
            await asyncio.wait([finding, *others], return_when=asyncio.FIRST_COMPLETED)
            if finding.done():
                return finding.result()
            if stopped.is_set():
                return ""
            raise ChildError(f"{self.name} ended with code {self.process.returncode}")
        finally:
            for task in (finding, *others):
                task.cancel()

    async def must_succeed(self) -> None:
        """Raises: ChildError: It ends with another code than 0."""
        if code := await self.process.wait():
            raise ChildError(f"{self.name} ended with code {code}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL to what does not hear it."""
        if self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _find(self, beginning: str) -> str:
        while True:
            line = await self._lines.get()
            if line.startswith(beginning):
                return line.removeprefix(beginning)


@asynccontextmanager
async def started(name: str, command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Child]:
    """A process that is stopped on the way out. A session of its own keeps the terminal's Ctrl-C from it."""
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    child = Child(name, process)
    reading = asyncio.create_task(child.read(), name=f"read-{name}")
    try:
        yield child
    finally:
        await child.stop()
        await reading


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    """Set by SIGINT, SIGTERM, or a terminal that is closed."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    yield stopped


async def children_ended(children: Sequence[Child], stopped: asyncio.Event) -> None:
    """Return when the script is to stop. Raises: ChildError: one of them has ended by itself."""
    waits = {asyncio.create_task(child.process.wait()): child for child in children}
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait([*waits, stopping], return_when=asyncio.FIRST_COMPLETED)
        for wait, child in waits.items():
            if wait.done() and not stopped.is_set():
                raise ChildError(f"{child.name} ended with code {wait.result()}")
    finally:
        for task in (*waits, stopping):
            task.cancel()
