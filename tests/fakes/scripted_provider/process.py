"""The scripted provider as a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.scripted_provider.control_client import ControlClient

_ROOT = Path(__file__).parents[3]
_MODULE = "tests.fakes.scripted_provider"
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


@asynccontextmanager
async def scripted_provider_process(port: int = 0) -> AsyncIterator[ControlClient]:
    """Run a provider and yield its client; at the end the process gets SIGTERM and must end with 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _MODULE, "--port", str(port), cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode().strip()
        async with ControlClient(f"http://{line.removeprefix('listening on ')}") as client:
            yield client
        process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
