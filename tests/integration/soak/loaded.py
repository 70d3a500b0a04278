"""A service and a provider in processes of their own, and callers who measure."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import grpc

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.service import chat_request

Stub: TypeAlias = "rpc.OrchestratorServiceAsyncStub"


@dataclass
class Loaded:
    """Whoever calls, and where."""

    stub: Stub
    provider: ControlClient
    process: OrchestratorProcess


@asynccontextmanager
async def loaded_service(dsn: str, folder: Path, script: Script, **settings: str) -> AsyncIterator[Loaded]:
    """`settings` by the ends of their names, as PROVIDER__MAX_CONCURRENCY="8"."""
    variables = {f"ORCHESTRATOR_{name}": value for name, value in settings.items()}
    async with scripted_provider_process() as provider:
        await provider.set_default(script)
        variables |= {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
        async with (
            orchestrator_process(folder, **variables) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            yield Loaded(rpc.OrchestratorServiceStub(channel), provider, process)


@dataclass
class Timed:
    """One StreamChat, in seconds of the machine's monotonic clock, which the processes share."""

    query: str
    began: float
    texts: list[float] = field(default_factory=list)
    ended: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.OK

    @property
    def answered(self) -> bool:
        return self.code is grpc.StatusCode.OK

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def gaps(self) -> list[float]:
        """Between one text and the next."""
        return [after - before for before, after in zip(self.texts, self.texts[1:], strict=False)]


async def timed(stub: Stub, query: str, options: pb.RunOptions) -> Timed:
    call = Timed(query, monotonic())
    request = chat_request(query, user_id=query, run_options=options)
    try:
        async for chunk in stub.StreamChat(request):
            if chunk.content.text:
                call.texts.append(monotonic())
    except grpc.aio.AioRpcError as error:
        call.code = error.code()
    call.ended = monotonic()
    return call


def quantile(values: Sequence[float], share: float) -> float:
    """The value that a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - monotonic()))
