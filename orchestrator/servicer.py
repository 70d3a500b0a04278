"""The gRPC face of the service: decode, delegate, encode."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

import grpc

from orchestrator.application import Application
from orchestrator.chat import Reading
from orchestrator.codec import checkpoints, chunks, errors, pages, providers, requests, usage
from orchestrator.health import Health, HealthService
from orchestrator.places import Place
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.pool.pool import ModelPool
from state.errors import UnimplementedError
from state.models import ConversationId, RunId

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"]


FEATURES = (
    "resume_stream",
    "structured_chunks",
    "heartbeats",
    "on_disconnect_continue",
    "on_busy",
    "branching",
    "on_saturated_wait",
    "run_limits",
    "usage",
    "daily_budgets",
    "image_attachments",
)
"""What a caller may rely on beyond the six core RPCs. A feature is added in the commit that makes it work."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What this server says of itself."""

    version: str
    agents: tuple[str, ...]
    max_request_bytes: int
    event_retention_seconds: float


class OrchestratorServicer(rpc.OrchestratorServiceServicer):
    """Implements orchestrator.OrchestratorService. What is not built yet answers UNIMPLEMENTED."""

    def __init__(self, app: Application, models: ModelPool, health: HealthService, about: ServerInfo) -> None:
        self._models = models
        self._worker = app.supervisor
        self._chat = app.chat
        self._resume = app.resume
        self._conversations = app.conversations
        self._usage = app.usage
        self._health = health
        self._about = about

    async def StreamChat(self, request: pb.ChatRequest, context: Context) -> AsyncGenerator[pb.ChatChunk]:
        chat = await self._chat.begin(requests.chat_command(request, context.time_remaining()))
        try:
            stream = _stream(chat.run, chat.read(), requests.reader_options(request.stream_options), context)
            async with aclosing(stream) as sent:
                async for chunk in sent:
                    yield chunk
        finally:
            chat.leave()  # changes nothing once the run has ended

    async def ResumeStream(
        self, request: pb.ResumeStreamRequest, context: Context
    ) -> AsyncGenerator[pb.ChatChunk]:
        command = requests.resume_command(request)
        resumed = await self._resume.resume(command)
        options = requests.reader_options(request.stream_options)
        if resumed.seen_end is not None:
            await _end_as(chunks.decode(resumed.seen_end.payload, options), context)
            return
        async with aclosing(
            _stream(resumed.run, resumed.records, options, context, after=command.after)
        ) as stream:
            async for chunk in stream:
                yield chunk

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: Context
    ) -> pb.ListCheckpointsResponse:
        del context
        owner, conversation_id = requests.conversation(request)
        scope, size = f"checkpoints:{conversation_id}", pages.page_size(request.page_size)
        before = pages.page_position(scope, request.page_token)
        page = await self._conversations.checkpoints(owner, conversation_id, before=before, size=size)
        return checkpoints.response(page, pages.page_token(scope, page.next_before))

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        del context
        owner, conversation_id = requests.conversation(request)
        return pb.DeleteConversationResponse(
            deleted_runs=await self._conversations.delete(owner, conversation_id)
        )

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        del context
        return usage.response(await self._usage.report(*usage.span(request)))

    async def GetProviderStatus(
        self, request: pb.GetProviderStatusRequest, context: Context
    ) -> pb.GetProviderStatusResponse:
        del request, context
        return providers.response(self._models.status(), running=self._worker.active)

    async def HealthCheck(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        del request, context
        return _health(await self._health.check(), self._about.version)

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        del request, context
        about = self._about
        response = pb.GetServerInfoResponse(
            version=about.version,
            features=FEATURES,
            agents=about.agents,
            max_request_bytes=about.max_request_bytes,
        )
        response.event_retention.FromNanoseconds(int(about.event_retention_seconds * 1e9))
        return response


class LoggedRun(Protocol):
    """What a stream must know of the run whose log it reads."""

    @property
    def run_id(self) -> RunId: ...
    @property
    def conversation_id(self) -> ConversationId: ...
    @property
    def agent_name(self) -> str: ...


async def _stream(
    run: LoggedRun,
    log: Reading,
    options: chunks.ReaderOptions,
    context: Context,
    *,
    after: int = 0,
) -> AsyncGenerator[pb.ChatChunk]:
    """A log as its reader wants it, and the status that its last chunk stands for."""
    await context.send_initial_metadata(
        (("x-run-id", run.run_id), ("x-conversation-id", _for_metadata(run.conversation_id)))
    )
    chunk = pb.ChatChunk()
    async with aclosing(log) as records:
        async for record in records:
            if record is None:
                yield chunks.heartbeat(run.run_id, run.agent_name, options)
                continue
            if isinstance(record, Place):
                yield chunks.in_line(run.run_id, run.agent_name, record, options)
                continue
            if record.sequence > after + 1:  # a log has no gaps but those that retention makes
                yield chunks.pruned(run.run_id, run.agent_name, record.sequence, options)
            after = record.sequence
            chunk = chunks.decode(record.payload, options)
            yield chunk
    await _end_as(chunk, context)


def _for_metadata(name: str) -> str:
    """Metadata holds ASCII: any other name is percent-encoded. The first chunk has it as it is."""
    return name if name.isascii() else quote(name)


async def _end_as(chunk: pb.ChatChunk, context: Context) -> None:
    if chunk.HasField("error"):
        await context.abort_with_status(errors.grpc_status_of_detail(chunk.error))


def _health(health: Health, version: str) -> pb.HealthCheckResponse:
    response = pb.HealthCheckResponse(
        status=health.status, details=health.details, version=version, draining=health.draining
    )
    response.uptime.FromNanoseconds(int(health.uptime_seconds * 1e9))
    return response


async def _not_built(self: OrchestratorServicer, request: object, context: Context) -> None:
    del self, request, context
    raise UnimplementedError("this RPC is not supported by this release")


# The generated base class would answer with synchronous methods, each in a thread, and name itself.
for _method in SERVICE.methods:
    if _method.name not in vars(OrchestratorServicer):
        setattr(OrchestratorServicer, _method.name, _not_built)
