"""Another OrchestratorService, written from the stubs: scripted runs, and faults where they are wanted."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from protos import orchestrator_pb2 as pb
from tests.fakes.orchestrator.play import Fault, Play

_CODES = frozenset(code.value[0] for code in grpc.StatusCode)
_UNKNOWN = 2
GARBAGE = b"\xff\xff\xff\xffgarbage"


@dataclass
class Run:
    """One run and its log."""

    request: pb.ChatRequest
    play: Play
    run_id: str = field(default_factory=lambda: uuid4().hex)
    log: list[pb.ChatChunk] = field(default_factory=list)

    def add(self, chunks: Sequence[pb.ChatChunk]) -> None:
        for one in chunks:
            chunk = pb.ChatChunk.FromString(one.SerializeToString())
            chunk.sequence, chunk.run_id = len(self.log) + 1, self.run_id
            self.log.append(chunk)

    def is_beyond(self, after: int) -> bool:
        """Whether there is a record after this one."""
        return len(self.log) > after

    @property
    def over(self) -> bool:
        return bool(self.log) and self.log[-1].WhichOneof("payload") in ("complete", "error")


class FakeOrchestrator:
    """Serves on 127.0.0.1:`port` inside its context. Each new run follows the next of `plays`.

    `repeats`: so many records are sent again by who resumes. `too_late`: decisions are.
    """

    def __init__(self, *, credentials: grpc.ServerCredentials | None = None) -> None:
        self.port = 0
        self.plays: deque[Play] = deque()
        self.faults: deque[Fault] = deque()
        self.runs: list[Run] = []
        self.streams: list[str] = []
        self.resumed: list[pb.ResumeStreamRequest] = []
        self.approvals: list[pb.PermissionApproval] = []
        self.cancelled: list[str] = []
        self.metadata: list[dict[str, str]] = []
        self.too_late = False
        self.repeats = 0
        self.approves_after: asyncio.Event | None = None
        self._credentials = credentials
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve, on the port that it had before if there was one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self._handlers(),))
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self.address)
        else:
            self.port = self._server.add_secure_port(self.address, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    async def until(self, what: Any, within: float = 10.0) -> None:
        """Return when `what()` is true of what was heard."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(what)

    async def add(self, run: Run, *chunks: pb.ChatChunk) -> None:
        """Let a run go on."""
        run.add(chunks)
        await self._tell()

    def _handlers(self) -> Any:
        streams: list[tuple[str, Any, Any]] = [
            ("StreamChat", self._chat, pb.ChatRequest),
            ("ResumeStream", self._resume, pb.ResumeStreamRequest),
        ]
        calls: list[tuple[str, Any, Any]] = [
            ("ApprovePermission", self._approve, pb.PermissionApproval),
            ("CancelTask", self._cancel, pb.CancelTaskRequest),
        ]
        stream, call = grpc.unary_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
        handlers: dict[str, Any] = {name: stream(one, kind.FromString) for name, one, kind in streams}
        handlers |= {name: call(one, kind.FromString) for name, one, kind in calls}
        return grpc.method_handlers_generic_handler("orchestrator.OrchestratorService", handlers)

    async def _chat(self, request: pb.ChatRequest, context: Any) -> AsyncGenerator[bytes]:
        await self._heard("StreamChat", context)
        run = next((r for r in self.runs if r.request.request_id == request.request_id), None)
        if run is None:
            play = self.plays.popleft() if len(self.plays) > 1 else self.plays[0]
            if play.refused is not None:
                await context.abort_with_status(_status(play.refused))
            run = Run(request, play)
            run.add(play.chunks)
            self.runs.append(run)
            await self._tell()
        elif run.request != request:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "another request")
        async for data in self._read(run, 0, context, ends=run.play.ends_at_questions):
            yield data

    async def _resume(self, request: pb.ResumeStreamRequest, context: Any) -> AsyncGenerator[bytes]:
        await self._heard("ResumeStream", context)
        self.resumed.append(request)
        run = next(run for run in self.runs if run.run_id == request.run_id)
        after = max(0, request.after_sequence - self.repeats)
        async for data in self._read(run, after, context, ends=False):
            yield data

    async def _read(self, run: Run, after: int, context: Any, *, ends: bool) -> AsyncGenerator[bytes]:
        while after < len(run.log) or not run.over:
            async with self._changed:
                await self._changed.wait_for(partial(run.is_beyond, after))
            chunk = run.log[after]
            after += 1
            yield chunk.SerializeToString()
            if self.faults and self.faults[0].after == after:
                if self.faults[0].garbage:
                    yield GARBAGE
                await _suffer(self.faults.popleft(), context)
                return
            if chunk.status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION and ends and after == len(run.log):
                waits = pb.Completion(finish_reason=pb.FINISH_REASON_WAITING_FOR_PERMISSION)
                yield pb.ChatChunk(run_id=run.run_id, complete=waits).SerializeToString()
                return
        if run.log[-1].HasField("error"):
            await context.abort_with_status(_status(run.log[-1].error))

    async def _approve(self, request: pb.PermissionApproval, context: Any) -> bytes:
        await self._heard("ApprovePermission", context)
        self.approvals.append(request)
        if self.approves_after is not None:
            await self.approves_after.wait()
        if self.too_late:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "expired")
        run = self.runs[-1]
        if not run.over:
            approved = request.approval_decision == "approved"
            await self.add(run, *(run.play.approved if approved else run.play.denied))
        return pb.ApprovalResponse(success=True).SerializeToString()

    async def _cancel(self, request: pb.CancelTaskRequest, context: Any) -> bytes:
        await self._heard("CancelTask", context)
        self.cancelled.append(request.request_id)
        await self._tell()
        return pb.CancelTaskResponse().SerializeToString()

    async def _heard(self, rpc: str, context: Any) -> None:
        self.streams.append(rpc)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def _suffer(fault: Fault, context: Any) -> None:
    if fault.silent:
        await asyncio.Event().wait()
    if fault.status is not None:
        await context.abort(fault.status, "cut")


def _status(detail: pb.ErrorDetail) -> Any:
    info = error_details_pb2.ErrorInfo(reason=detail.reason, domain="orchestrator")
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(info)
    details[1].Pack(error_details_pb2.RetryInfo(retry_delay=detail.retry_after))
    told = details if detail.HasField("retry_after") else details[:1]
    return rpc_status.to_status(status_pb2.Status(code=_code(detail), message=detail.message, details=told))


def _code(detail: pb.ErrorDetail) -> int:
    return detail.code if detail.code in _CODES else _UNKNOWN
