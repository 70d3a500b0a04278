"""A service whose models come from a provider file, and callers who tell what they saw of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Call, CallReport
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.configured import with_file
from tests.harness.service import Service, chat_request
from tests.harness.statuses import error_info, retry_delay

WAIT = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_WAIT)
FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)

_FILE = """
[providers.acme]
kind = "openai"
base_url = "{url}"
{more}
[models.m]
provider = "acme"
context_tokens = 8192
[classes]
chat = ["m"]
"""


def one_model(provider: ScriptedProvider, more: str = "") -> str:
    """A provider file with one model of `provider`; `more` are further lines of the provider's table."""
    return _FILE.format(url=provider.base_url, more=more)


@asynccontextmanager
async def service_with(
    dsn: str, provider: ScriptedProvider, file: Path, text: str, /, **groups: Mapping[str, object]
) -> AsyncIterator[Service]:
    """A service whose models are made as `python main.py` makes them, from `text`, written to `file`."""
    file.write_text(text)  # noqa: ASYNC240
    async with with_file(dsn, provider, file, **{"run": {"reap_seconds": 0.1}, **groups}) as service:
        yield service


@dataclass
class Asked:
    """One StreamChat as its caller sees it."""

    query: str
    chunks: list[pb.ChatChunk] = field(default_factory=list)
    error: grpc.aio.AioRpcError | None = None
    in_line: asyncio.Event = field(default_factory=asyncio.Event)
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it was told its place: the line has been looked through since it joined."""

    @property
    def seen(self) -> str:
        """In words: whether it stood in line, then the answer or the status."""
        waited = "waits, " if self.in_line.is_set() else ""
        if self.error is None:
            assert self.chunks[-1].HasField("complete")
            return f"{waited}answer"
        retry = ", RetryInfo" if (retry_delay(self.error) or 0) > 0 else ""
        return f"{waited}{self.error.code().name} {error_info(self.error).reason}{retry}"

    @property
    def answered_by(self) -> str:
        """The generation id of a complete answer."""
        assert self.error is None, self.seen
        return self.chunks[-1].metadata["generation_id"]

    async def read(self, service: Service, request: pb.ChatRequest) -> None:
        try:
            async for chunk in service.stub.StreamChat(request):
                self.chunks.append(chunk)
                if chunk.status.state == pb.TASK_STATE_QUEUED:
                    self.in_line.set()
                if chunk.status.queue_position:
                    self.placed.set()
        except grpc.aio.AioRpcError as error:
            self.error = error


async def ask(service: Service, query: str, options: pb.RunOptions = FAIL, **fields: object) -> Asked:
    """One StreamChat to its end, whatever that is; every query is a user's of its own, unless told."""
    asked = Asked(query)
    await asked.read(service, chat_request(query, **{"user_id": query, "run_options": options, **fields}))
    return asked


class Caller:
    """Callers in the background; leaving the context waits for their ends."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, query: str, options: pb.RunOptions = WAIT, **fields: object) -> Asked:
        asked = Asked(query)
        request = chat_request(query, **{"user_id": query, "run_options": options, **fields})
        self._tasks.append(asyncio.create_task(asked.read(self._service, request), name=f"asks {query}"))
        return asked

    async def in_line(self, query: str, options: pb.RunOptions = WAIT, **fields: object) -> Asked:
        """Begin a call, and return once it stands in line."""
        asked = self.begin(query, options, **fields)
        async with asyncio.timeout(10):
            await asked.in_line.wait()
        return asked

    async def ended(self) -> None:
        """Return when all have ended or have left."""
        async with asyncio.timeout(60):
            for result in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    def leave(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def callers(service: Service) -> AsyncIterator[Caller]:
    caller = Caller(service)
    try:
        yield caller
        await caller.ended()
    finally:
        caller.leave()


def said(ledger: Sequence[Call | CallReport]) -> list[str]:
    """What each call asked, in the order of arrival."""
    return [call.body["messages"][-1]["content"] for call in ledger]


async def shown(service: Service) -> pb.ProviderStatus:
    """The first provider as GetProviderStatus shows it."""
    status: pb.GetProviderStatusResponse = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
    return status.providers[0]
