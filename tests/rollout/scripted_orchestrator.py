"""The other side of the wire, scripted: it sends chunks and ends with any status, and notes what it is
asked.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.protos import orchestrator_pb2_grpc as rpc

RUN_ID = "run-1"


@dataclass
class Play:
    """What one StreamChat does: its chunks, then `hold` for ever, or a status with a reason (None = OK)."""

    chunks: Sequence[pb.ChatChunk] = ()
    code: grpc.StatusCode | None = None
    reason: str = ""
    hold: bool = False


@dataclass
class ScriptedOrchestrator(rpc.OrchestratorServiceServicer):
    """`log`: what ResumeStream sends. Cancels are answered with OK, or NOT_FOUND where no chunk was sent."""

    play: Play = field(default_factory=Play)
    log: Sequence[pb.ChatChunk] = ()
    requests: list[pb.ChatRequest] = field(default_factory=list)
    cancelled: list[pb.CancelTaskRequest] = field(default_factory=list)
    deleted: list[pb.DeleteConversationRequest] = field(default_factory=list)
    address: str = ""

    async def StreamChat(self, request: pb.ChatRequest, context: "Context") -> AsyncIterator[pb.ChatChunk]:
        self.requests.append(request)
        play = self.play
        for chunk in play.chunks:
            yield chunk
        if play.hold:
            await asyncio.Event().wait()
        if play.code is not None:
            await context.abort_with_status(rpc_status.to_status(_status(play.code, play.reason)))

    async def ResumeStream(
        self, request: pb.ResumeStreamRequest, context: "Context"
    ) -> AsyncIterator[pb.ChatChunk]:
        for chunk in self.log:
            if chunk.sequence > request.after_sequence:
                yield chunk
        await context.abort_with_status(rpc_status.to_status(_status(grpc.StatusCode.CANCELLED, "CANCELLED")))

    async def CancelTask(self, request: pb.CancelTaskRequest, context: "Context") -> pb.CancelTaskResponse:
        self.cancelled.append(request)
        if not request.task_id and not self.play.chunks:
            status = _status(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
            await context.abort_with_status(rpc_status.to_status(status))
        return pb.CancelTaskResponse()

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: "Context"
    ) -> pb.DeleteConversationResponse:
        del context
        self.deleted.append(request)
        return pb.DeleteConversationResponse(deleted_runs=1)


Context = grpc.aio.ServicerContext[object, object]


def _status(code: grpc.StatusCode, reason: str) -> status_pb2.Status:
    details = []
    if reason:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="orchestrator"))
        details.append(detail)
    return status_pb2.Status(code=code.value[0], message="as scripted", details=details)


@asynccontextmanager
async def scripted_orchestrator(port: int = 0) -> AsyncIterator[ScriptedOrchestrator]:
    """One that serves on 127.0.0.1."""
    servicer, server = ScriptedOrchestrator(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield servicer
    finally:
        await server.stop(None)


def status(sequence: int = 1, conversation: str = "") -> pb.ChatChunk:
    metadata = {"conversation_id": conversation} if conversation else {}
    return pb.ChatChunk(
        sequence=sequence,
        run_id=RUN_ID,
        metadata=metadata,
        status=pb.StatusUpdate(state=pb.TASK_STATE_RUNNING),
    )


def content(sequence: int, text: str = "remote", *, reasoning: bool = False) -> pb.ChatChunk:
    channel = pb.CONTENT_CHANNEL_REASONING if reasoning else pb.CONTENT_CHANNEL_ANSWER
    return pb.ChatChunk(sequence=sequence, run_id=RUN_ID, content=pb.ContentDelta(text=text, channel=channel))


def tool_call(sequence: int, *, read_only: bool) -> pb.ChatChunk:
    call = pb.ToolCall(tool_call_id="t", tool_name="tool", read_only=read_only)
    return pb.ChatChunk(sequence=sequence, run_id=RUN_ID, tool_call=call)


def complete(sequence: int, text: str = "remote") -> pb.ChatChunk:
    done = pb.Completion(finish_reason=pb.FINISH_REASON_STOP, final_text=text)
    return pb.ChatChunk(sequence=sequence, run_id=RUN_ID, complete=done)


def failure(sequence: int, code: grpc.StatusCode, reason: str) -> pb.ChatChunk:
    detail = pb.ErrorDetail(code=code.value[0], reason=reason, message="as scripted")
    return pb.ChatChunk(sequence=sequence, run_id=RUN_ID, error=detail)
