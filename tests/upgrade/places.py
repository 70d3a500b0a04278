"""Places for replicas: each a port at which one process follows the other, of whatever version."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from state.embedded.launch import free_port
from tests.harness.process import ROOT, OrchestratorProcess, version_process

SHORT = {
    "ORCHESTRATOR_RUN__LEASE_SECONDS": "2",
    "ORCHESTRATOR_RUN__BEAT_SECONDS": "0.5",
    "ORCHESTRATOR_RUN__REAP_SECONDS": "0.2",
    "ORCHESTRATOR_SERVER__DRAIN_SECONDS": "0.3",
}
"""So short a drain that whatever runs is handed on."""


class Place:
    """One replica's place. `address` stays; `process` is the one that is there now."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        self._environment = {**SHORT, **environment, "ORCHESTRATOR_SERVER__ADDRESS": self.address}
        self._opened = AsyncExitStack()
        self.process: OrchestratorProcess

    async def start(self, tree: Path = ROOT) -> None:
        """A process with the code of that tree, once it serves."""
        started = version_process(tree, self._folder, **self._environment)
        self.process = await self._opened.enter_async_context(started)
        await self.process.serving()

    async def kill(self) -> None:
        """kill -9."""
        await self.process.kill()

    async def roll(self, tree: Path = ROOT) -> int:
        """SIGTERM, wait, and a process of that tree in its place; the exit code of the one before."""
        code = await self.process.stop()
        await self.start(tree)
        return code

    async def stop(self) -> None:
        await self._opened.aclose()


@asynccontextmanager
async def places(
    folder: Path, trees: Sequence[Path], environment: Mapping[str, str]
) -> AsyncIterator[list[Place]]:
    """A place for each tree, with a process."""
    async with AsyncExitStack() as stack:
        made = [Place(folder, environment) for _ in trees]
        for place in made:
            stack.push_async_callback(place.stop)
        await asyncio.gather(*(place.start(tree) for place, tree in zip(made, trees, strict=True)))
        yield made
