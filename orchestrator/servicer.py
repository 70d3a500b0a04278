"""The gRPC face of the service: decode, delegate, encode."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orchestrator.application import Application
from orchestrator.codec import (
    approvals,
    checkpoints,
    chunks,
    pages,
    providers,
    readers,
    requests,
    tasks,
    usage,
)
from orchestrator.health import Health, HealthService
from orchestrator.streams import Context, chunks_of, end_as, introduce
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.pool.pool import ModelPool
from state.errors import UnimplementedError

SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"]


FEATURES = (
    "resume_stream",
    "structured_chunks",
    "heartbeats",
    "on_disconnect_continue",
    "on_busy",
    "branching",
    "on_saturated_wait",
    "on_saturated_start_task",
    "tasks",
    "request_id",
    "run_limits",
    "usage",
    "daily_budgets",
    "image_attachments",
    "permissions",
    "tools",
    "allowed_tools",
    "permission_grants",
    "retry_from_checkpoint",
)
"""What a caller may rely on beyond the six core RPCs. A feature is added in the commit that makes it work."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What this server says of itself."""

    version: str
    agents: Callable[[], Sequence[str]]
    max_request_bytes: int
    event_retention_seconds: float


class OrchestratorServicer(rpc.OrchestratorServiceServicer):
    """Implements orchestrator.OrchestratorService. What is not built yet answers UNIMPLEMENTED."""

    def __init__(self, app: Application, models: ModelPool, health: HealthService, about: ServerInfo) -> None:
        self._models = models
        self._worker = app.supervisor
        self._line = app.line
        self._chat = app.chat
        self._tasks = app.tasks
        self._permissions = app.permissions
        self._resume = app.resume
        self._conversations = app.conversations
        self._usage = app.usage
        self._health = health
        self._about = about

    async def StreamChat(self, request: pb.ChatRequest, context: Context) -> AsyncGenerator[pb.ChatChunk]:
        chat = await self._chat.begin(requests.chat_command(request, context.time_remaining()))
        try:
            await introduce(chat.run, context)
            options = readers.reader_options(request.stream_options)
            chunk = pb.ChatChunk()
            async with aclosing(
                chunks_of(chat.run, chat.read(), options, suspended=chat.suspended)
            ) as stream:
                async for chunk in stream:
                    yield chunk
            await end_as(chunk, context)
        finally:
            chat.leave()  # changes nothing once the run has ended

    async def ResumeStream(
        self, request: pb.ResumeStreamRequest, context: Context
    ) -> AsyncGenerator[pb.ChatChunk]:
        command = readers.resume_command(request)
        await self._tasks.refuse_spooled(command.owner, command.run_id)
        resumed = await self._resume.resume(command)
        options = readers.reader_options(request.stream_options)
        if resumed.seen_end is not None:
            await end_as(chunks.decode(resumed.seen_end.payload, options), context)
            return
        await introduce(resumed.run, context)
        chunk = pb.ChatChunk()
        log = chunks_of(resumed.run, resumed.records, options, after=command.after)
        async with aclosing(log) as stream:
            async for chunk in stream:
                yield chunk
        await end_as(chunk, context)

    async def StartTask(self, request: pb.TaskRequest, context: Context) -> pb.TaskResponse:
        del context
        return tasks.started(await self._tasks.start(tasks.start_command(request)))

    async def GetTaskStatus(self, request: pb.TaskStatusRequest, context: Context) -> pb.TaskStatusResponse:
        del context
        return tasks.status(await self._tasks.get(*tasks.task_id(request)))

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: Context
    ) -> AsyncGenerator[pb.WatchTaskResponse]:
        owner, run_id = tasks.task_id(request)
        await self._tasks.refuse_spooled(owner, run_id)
        resumed = await self._resume.resume(readers.watch_command(request))
        options = readers.reader_options(request.stream_options)
        await introduce(resumed.run, context)
        yield pb.WatchTaskResponse(snapshot=tasks.status(await self._tasks.get(owner, run_id)))
        if resumed.seen_end is not None:
            await end_as(chunks.decode(resumed.seen_end.payload, options), context)
            return
        chunk = pb.ChatChunk()
        log = chunks_of(resumed.run, resumed.records, options, after=request.after_sequence)
        async with aclosing(log) as stream:
            async for chunk in stream:
                yield pb.WatchTaskResponse(chunk=chunk)
        yield pb.WatchTaskResponse(snapshot=tasks.status(await self._tasks.get(owner, run_id)))
        await end_as(chunk, context)

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> pb.CancelTaskResponse:
        del context
        owner, run_id, after_step = tasks.cancel(request)
        run_id = run_id or await self._tasks.find(owner, request.request_id)
        view = await self._tasks.cancel(owner, run_id, after_step=after_step)
        return pb.CancelTaskResponse(task=tasks.status(view))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        del context
        owner, wanted, after, size = tasks.listing(request)
        found = await self._tasks.list(owner, wanted, after=after, limit=size + 1)
        return tasks.listed(request, list(found[:size]), more=len(found) > size)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> pb.RetryTaskResponse:
        del context
        view = await self._tasks.retry(*tasks.retry(request), from_start=request.from_start)
        return pb.RetryTaskResponse(task=tasks.status(view))

    async def ApprovePermission(
        self, request: pb.PermissionApproval, context: Context
    ) -> pb.ApprovalResponse:
        del context
        return approvals.approved(await self._permissions.approve(approvals.approval_command(request)))

    async def GetPendingPermissions(
        self, request: pb.PermissionRequest, context: Context
    ) -> pb.PermissionList:
        del context
        owner, wanted, after, size = approvals.listing(request)
        found = await self._permissions.list(owner, wanted, after=after, limit=size + 1)
        return approvals.listed(request, list(found[:size]), more=len(found) > size)

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: Context
    ) -> pb.ListCheckpointsResponse:
        del context
        owner, conversation_id = readers.conversation(request)
        scope, size = requests.list_scope(request), pages.page_size(request.page_size)
        before = pages.page_position(scope, request.page_token)
        page = await self._conversations.checkpoints(owner, conversation_id, before=before, size=size)
        return checkpoints.response(page, pages.page_token(scope, page.next_before))

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        del context
        owner, conversation_id = readers.conversation(request)
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
        line = self._line
        return providers.response(
            self._models.status(),
            await line.load(),
            running=self._worker.active,
            capacity=line.capacity,
        )

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
            agents=about.agents(),
            max_request_bytes=about.max_request_bytes,
        )
        response.event_retention.FromNanoseconds(int(about.event_retention_seconds * 1e9))
        return response


def _health(health: Health, version: str) -> pb.HealthCheckResponse:
    response = pb.HealthCheckResponse(
        status=health.status, details=health.details, version=version, draining=health.draining
    )
    response.uptime.FromNanoseconds(int(health.uptime_seconds * 1e9))
    return response


async def _not_built(self: rpc.OrchestratorServiceServicer, request: object, context: Context) -> None:
    del self, request, context
    raise UnimplementedError("this RPC is not supported by this release")


def refuse_the_rest(servicer: type[rpc.OrchestratorServiceServicer]) -> None:
    """Let what a class has no method for answer UNIMPLEMENTED.

    The generated base class would answer with synchronous methods, each in a thread, and name itself.
    """
    for method in SERVICE.methods:
        if method.name not in vars(servicer):
            setattr(servicer, method.name, _not_built)


refuse_the_rest(OrchestratorServicer)
