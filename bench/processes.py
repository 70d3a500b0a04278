"""The service as a process of its own, in a folder that goes away with everything in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.process import OrchestratorProcess, orchestrator_process


@asynccontextmanager
async def service_process(folder: Path, provider_url: str) -> AsyncIterator[OrchestratorProcess]:
    """`main.py` with its own Postgres in `folder` and the provider at `provider_url`, until the block ends.

    A process that does not stop when told to is killed; its Postgres ends with `passable_folder`.
    """
    async with orchestrator_process(folder, OPENAI_BASE_URL=provider_url) as process:
        try:
            yield process
        finally:
            try:
                await process.stop()
            except TimeoutError:
                await process.kill()
