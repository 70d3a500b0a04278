"""`python -m deploy.demo` as a process, as `make demo` starts it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from state.embedded.launch import free_port

ROOT = Path(__file__).resolve().parents[3]
_START_SECONDS = 90.0
_STOP_SECONDS = 60.0


@dataclass
class Demo:
    """It runs, and says where and with which password."""

    process: asyncio.subprocess.Process
    url: str
    password: str
    said: list[str]

    async def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(_STOP_SECONDS):
            await self.process.wait()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running_demo(dsn: str, provider_url: str, folder: Path) -> AsyncIterator[Demo]:
    """It, on free ports, with a database and a provider of the test's."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = {
        **kept,
        "PYTHONPATH": "client",
        "DATABASE_URL": dsn,
        "DEMO_FOLDER": str(folder),
        "OPENAI_BASE_URL": provider_url,
        "ORCHESTRATOR_SERVER__ADDRESS": f"127.0.0.1:{free_port()}",
        "ORCHESTRATOR_TOOLS__ADDRESS": f"127.0.0.1:{free_port()}",
        "ORCHESTRATOR_AGENTS__TITLES": "rule",
        "BACKEND_SERVER__ADDRESS": "127.0.0.1:0",
    }
    command = (sys.executable, "-m", "deploy.demo")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            said = await _until_open(process)
        found = {
            key: line.partition(f"{key} ")[2] for line in said for key in ("open", "password:") if key in line
        }
        yield Demo(process, found["open"].rstrip("/"), found["password:"], said)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _until_open(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    said = []
    async for raw in process.stdout:
        said.append(raw.decode().strip())
        if said[-1] == "Ctrl-C stops all":
            return said
    raise AssertionError(said)
