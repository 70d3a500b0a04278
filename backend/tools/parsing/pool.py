"""A few processes that parse, each one thing at a time; one that is slow or breaks is ended and replaced."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from backend.tools.parsing.errors import ParsingError
from backend.tools.parsing.frames import LENGTH, MOST_BYTES, frame

_BROKEN = (OSError, EOFError, asyncio.IncompleteReadError, ValueError)


@dataclass(frozen=True, slots=True)
class ParsingLimits:
    """`cpu_seconds` for one job, `memory_bytes` for a process with its libraries.

    The others are of the clock: `seconds` for one job, `start_seconds` until a process is ready.
    """

    processes: int = 2
    cpu_seconds: float = 0.7
    memory_bytes: int = 768 << 20
    seconds: float = 10.0
    start_seconds: float = 30.0


class ParsingPool:
    """Parses within its context. Processes are started when they are first needed."""

    def __init__(self, limits: ParsingLimits = ParsingLimits()) -> None:
        self._limits = limits
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        self._processes = [_Process(limits) for _ in range(limits.processes)]
        for process in self._processes:
            self._idle.put_nowait(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            await process.end()

    async def parsed(self, job: str, body: bytes, **needs: str) -> Mapping[str, Any]:
        """What the job makes of the bytes.

        Raises:
            ParsingError: It takes more than it may, or breaks the parser.
        """
        async with self._one() as process:
            try:
                return await process.parsed({"job": job, **needs}, body)
            except TimeoutError as error:
                raise ParsingError("it takes too long to read") from error
            except _BROKEN as error:
                raise ParsingError("it cannot be read within the limits") from error

    @asynccontextmanager
    async def _one(self) -> AsyncGenerator["_Process", None]:
        process = await self._idle.get()
        try:
            yield process
        except BaseException:
            await process.end()  # also when cancelled: half an answer may be on its way
            raise
        finally:
            self._idle.put_nowait(process)


class _Process:
    """One process, started when there is none."""

    def __init__(self, limits: ParsingLimits) -> None:
        self._limits = limits
        self._running: asyncio.subprocess.Process | None = None

    async def parsed(self, question: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        if self._running is None:
            self._running = await self._started()
        source, sink = _pipes(self._running)
        async with asyncio.timeout(self._limits.seconds):
            sink.write(frame(json.dumps(question).encode()) + frame(body))
            await sink.drain()
            answer: Mapping[str, Any] = json.loads(await _received(source))
            return answer

    async def _started(self) -> asyncio.subprocess.Process:
        limits = self._limits
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "backend.tools.parsing.child", str(limits.cpu_seconds), str(limits.memory_bytes)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a traceback would quote what strangers wrote
            env={"PYTHONPATH": os.pathsep.join(sys.path)},  # none of our secrets
            start_new_session=True,
        )
        self._running = running
        async with asyncio.timeout(limits.start_seconds):
            await _received(_pipes(running)[0])
        return running

    async def end(self) -> None:
        """End it, whatever it is at."""
        running, self._running = self._running, None
        if running is None:
            return
        source, sink = _pipes(running)
        if (
            not source.at_eof()
        ):  # else it has ended, and to kill it would take its status from who waits for it
            running.kill()
        sink.close()
        await running.wait()


def _pipes(running: asyncio.subprocess.Process) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if running.stdout is None or running.stdin is None:
        raise RuntimeError("a parsing process was started without pipes")
    return running.stdout, running.stdin


async def _received(source: asyncio.StreamReader) -> bytes:
    (size,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
    if size > MOST_BYTES:
        raise EOFError("more than an answer may have")
    return await source.readexactly(size)
