"""Servers as processes of their own, which end with the block that uses them."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.harness.process import ROOT, OrchestratorProcess, orchestrator_process

_STOP_SECONDS = 10.0


@asynccontextmanager
async def service_process(
    folder: Path, provider_url: str, **environment: str
) -> AsyncIterator[OrchestratorProcess]:
    """`main.py` with its own Postgres in `folder` and the provider at `provider_url`, until the block ends.

    A process that does not stop when told to is killed; its Postgres ends with `passable_folder`.
    """
    # As users start it: with metrics, but several at a time.
    settings = {"ORCHESTRATOR_METRICS__ADDRESS": "127.0.0.1:0", **environment}
    async with orchestrator_process(folder, OPENAI_BASE_URL=provider_url, **settings) as process:
        try:
            yield process
        finally:
            try:
                await process.stop()
            except TimeoutError:
                await process.kill()


@asynccontextmanager
async def peer_process(
    command: Sequence[str], log: Path, *, cwd: Path = ROOT, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Somebody else's server, with nothing of this process's own settings; what it prints goes into `log`."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    with log.open("wb") as printed:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, env={**kept, **environment}, stdout=printed, stderr=printed
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
