"""What a fake OrchestratorService does in a run, and what goes wrong while it is read."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb


@dataclass(frozen=True)
class Play:
    """A run: `chunks` at once, then by each decision `approved` or `denied`. `holds`: it then waits for more.

    `refused`: it is not begun but ends with this chunk's error as its status.
    """

    chunks: Sequence[pb.ChatChunk] = ()
    approved: Sequence[pb.ChatChunk] = ()
    denied: Sequence[pb.ChatChunk] = ()
    refused: pb.ErrorDetail | None = None
    ends_at_questions: bool = True


@dataclass(frozen=True)
class Fault:
    """What becomes of a stream once it has sent record `after`: a status, or bytes that are no chunk, or an
    end without an end; `silent`: nothing more comes."""

    after: int
    status: grpc.StatusCode | None = None
    garbage: bool = False
    silent: bool = False


def text(said: str, index: int = 0, *, channel: int = pb.CONTENT_CHANNEL_ANSWER) -> pb.ChatChunk:
    return pb.ChatChunk(content=pb.ContentDelta(text=said, message_index=index, channel=channel))  # type: ignore[arg-type]


def reset(from_sequence: int) -> pb.ChatChunk:
    new = pb.RESET_REASON_NEW_ATTEMPT
    return pb.ChatChunk(reset=pb.StreamReset(from_sequence=from_sequence, reason=new, attempt=2))


def called(call_id: str, name: str = "dig") -> pb.ChatChunk:
    call = pb.ToolCall(tool_call_id=call_id, tool_name=name)
    call.arguments.update({"depth": 2})
    return pb.ChatChunk(tool_call=call)


def answered(call_id: str, name: str = "dig") -> pb.ChatChunk:
    return pb.ChatChunk(
        tool_result=pb.ToolResult(tool_call_id=call_id, tool_name=name, ok=True, summary="2 m")
    )


def asked(permission_id: str = "p1", *, digest: str = "", **fields: str) -> pb.ChatChunk:
    arguments = Struct()
    arguments.update({"path": "a.txt", "count": 2})
    permission = pb.PendingPermission(
        permission_id=permission_id,
        operation_type="file_write",
        tool_name="write_file",
        reasoning="The field needs it.",
        arguments=arguments,
        arguments_digest=digest,
        **fields,  # type: ignore[arg-type]
    )
    return pb.ChatChunk(permission_requested=pb.PermissionRequested(permission=permission))


WAITS = pb.ChatChunk(status=pb.StatusUpdate(state=pb.TASK_STATE_WAITING_FOR_PERMISSION))


def done(final: str = "", reason: int = pb.FINISH_REASON_STOP, **fields: object) -> pb.ChatChunk:
    usage = pb.Usage(
        input_tokens=7,
        output_tokens=3,
        model_calls=2,
        tool_calls=1,
        by_model=[pb.ModelUsage(provider="p", model="m1", input_tokens=7, output_tokens=3)],
    )
    complete = pb.Completion(finish_reason=reason, final_text=final, checkpoint_id="there-1")  # type: ignore[arg-type]
    values: dict[str, object] = {"complete": complete, "usage": usage, "metadata": {"model": "m1"}, **fields}
    return pb.ChatChunk(**values)  # type: ignore[arg-type]


def failed(code: int, reason: str, *, retry_seconds: int = 0) -> pb.ErrorDetail:
    detail = pb.ErrorDetail(code=code, reason=reason, message=SECRET)
    if retry_seconds:
        detail.retry_after.FromSeconds(retry_seconds)
    return detail


SECRET = "canary: postgres://who:what@where"
"""Stands in whatever the fake says of its own failures."""
