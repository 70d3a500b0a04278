"""Replicas that are killed and replaced, and how a caller reaches one that lives."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import TypeAlias

import grpc

from protos import orchestrator_pb2_grpc as rpc
from tests.harness.meanwhile import meanwhile
from tests.harness.process import OrchestratorProcess, orchestrator_process

Stub: TypeAlias = "rpc.OrchestratorServiceAsyncStub"


class Replica:
    """One place for a process: `replace` kills the one that runs there and starts another."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._opened = AsyncExitStack()
        self._dead: list[AsyncExitStack] = []
        self.process: OrchestratorProcess
        self.stub: Stub

    async def start(self) -> None:
        async with AsyncExitStack() as stack:
            started = orchestrator_process(self._folder, **self._environment)
            self.process = await stack.enter_async_context(started)
            channel = grpc.aio.insecure_channel(self.process.address)
            self.stub = rpc.OrchestratorServiceStub(await stack.enter_async_context(channel))
            self._opened = stack.pop_all()

    async def replace(self) -> None:
        await self.process.kill()
        # Its channel stays open to the end: callers may be about to use it, and are refused there.
        self._dead.append(self._opened)
        await self.start()

    async def stop(self) -> None:
        for opened in (self._opened, *self._dead):
            await opened.aclose()


@asynccontextmanager
async def replicas(folder: Path, count: int, environment: Mapping[str, str]) -> AsyncIterator[list[Replica]]:
    """So many, started one after the other."""
    async with AsyncExitStack() as stack:
        places = [Replica(folder, environment) for _ in range(count)]
        for place in places:
            await place.start()
            stack.push_async_callback(place.stop)
        yield places


def kills_now_and_then(
    places: Sequence[Replica], random: Random, pauses: tuple[float, float], kills: list[int]
) -> AbstractAsyncContextManager[None]:
    """Replace a random one after each pause until the block ends; `kills` gets the process ids."""

    async def kill() -> None:
        place = random.choice(places)
        kills.append(place.process.pid)
        await place.replace()

    return meanwhile(kill, lambda: random.uniform(*pauses))
