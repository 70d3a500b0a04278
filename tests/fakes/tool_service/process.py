"""The fake backend as a process of its own, which a test may kill."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ToolServiceProcess:
    """A running process that serves with default answers at `address`."""

    address: str
    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def tool_service_process(port: int = 0) -> AsyncIterator[ToolServiceProcess]:
    """Run a backend; at the end the process gets SIGTERM and must end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.tool_service", "--port", str(port)),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode().strip()
        yield ToolServiceProcess(line.removeprefix("listening on "), process)
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
