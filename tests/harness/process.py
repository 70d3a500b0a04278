"""The service as users run it: `python main.py` in a process of its own, which a test may kill."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_SERVING = "serving on "
_DEFAULTS = {
    "ORCHESTRATOR_SERVER__ADDRESS": "127.0.0.1:0",
    "ORCHESTRATOR_PROVIDER__ROUTING": "false",
    "ORCHESTRATOR_AGENTS__TITLES": "rule",
    "ORCHESTRATOR_METRICS__ADDRESS": "off",
}
"""A free port, and no call of a model but those that a test is about."""


class OrchestratorProcess:
    """A running `main.py`. `address` is host:port; `output` and `errors` hold what it printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._served: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._printed = asyncio.Event()
        self.output: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.output), name="read-stdout"),
            asyncio.create_task(self._read(process.stderr, self.errors), name="read-stderr"),
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def address(self) -> str:
        return self._served.result()

    async def serving(self) -> str:
        """The address, once it serves."""
        async with asyncio.timeout(_START_SECONDS):
            return await self._served

    async def says(self, line: str) -> None:
        """Wait until it has printed a line."""
        async with asyncio.timeout(_START_SECONDS):
            while line not in self.output:
                self._printed.clear()
                await self._printed.wait()

    async def printed(self, lines: int) -> list[str]:
        """What it has printed, once that are so many lines."""
        async with asyncio.timeout(_START_SECONDS):
            while len(self.output) < lines:
                self._printed.clear()
                await self._printed.wait()
        return list(self.output)

    async def complains(self, words: str) -> str:
        """Wait until a line of its standard error has these words; the line."""
        async with asyncio.timeout(_START_SECONDS):
            while not (found := [line for line in self.errors if words in line]):
                self._printed.clear()
                await self._printed.wait()
        return found[0]

    async def kill(self) -> None:
        """kill -9; nothing if it has ended already."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_SECONDS):
            return await self.ended()

    async def exit_code(self) -> int:
        """Wait until it ends by itself."""
        async with asyncio.timeout(_STOP_SECONDS):
            return await self.ended()

    async def ended(self) -> int:
        """Its exit code, once it has ended and all that it said is read, however long that takes."""
        code = await self._process.wait()
        await asyncio.gather(*self._readers)
        return code

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode().rstrip("\n"))
            self._printed.set()
            if lines[-1].startswith(_SERVING) and not self._served.done():
                self._served.set_result(lines[-1].removeprefix(_SERVING))
        if not self._served.done():
            self._served.set_exception(RuntimeError(f"main.py ended before it served: {self.errors}"))
            self._served.exception()


@asynccontextmanager
async def starting_process(
    folder: Path, *arguments: str, **environment: str
) -> AsyncIterator[OrchestratorProcess]:
    """Run `main.py` in a folder, with nothing of this process's own settings; end it on the way out."""
    async with version_process(ROOT, folder, *arguments, **environment) as process:
        yield process


@asynccontextmanager
async def version_process(
    tree: Path, folder: Path, *arguments: str, **environment: str
) -> AsyncIterator[OrchestratorProcess]:
    """The same with the code of another tree."""
    process = OrchestratorProcess(await _spawn(tree, folder, environment, *arguments))
    try:
        yield process
    finally:
        await process.stop()


@asynccontextmanager
async def orchestrator_process(folder: Path, **environment: str) -> AsyncIterator[OrchestratorProcess]:
    """The same as `starting_process`, once it serves."""
    async with starting_process(folder, **environment) as process:
        await process.serving()
        yield process


async def run_main(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `main.py` to its end: exit code, standard output, standard error."""
    process = await _spawn(ROOT, folder, environment, *arguments)
    async with asyncio.timeout(_START_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def _spawn(
    tree: Path, folder: Path, environment: Mapping[str, str], *arguments: str
) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(tree / "main.py"),
        *arguments,
        cwd=folder,
        env={**kept, **_DEFAULTS, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
