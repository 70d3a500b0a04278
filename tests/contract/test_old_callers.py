"""A caller built from the original contract talks to a server of today over a real channel."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as pb_grpc
from tests.contract.old_caller import OldOrchestratorStub, golden_bytes, old_class

# The contract's table: what stands in `type` beside each payload. Callers switch on these strings.
TYPES = {
    "content": "content",
    "status": "status",
    "tool_call": "tool_call",
    "tool_result": "tool_call",
    "agent_update": "agent_update",
    "permission_requested": "permission_request",
    "complete": "complete",
    "error": "error",
    "notification": "notification",
    "heartbeat": "status",
    "editor_operations": "editor_operations",
    "title": "title",
    "permission_resolved": "status",
    "reset": "status",
    "plan": "status",
    "artifact": "status",
}
BEGIN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
AGENT = "chat"
PERMISSION = pb.PendingPermission(operation_type="file_write", permission_id="p1")
EDIT = {"op_type": "insert_after", "anchor_text": "Once", "text": " upon a time"}


def payloads() -> Iterator[tuple[str, pb.ChatChunk]]:
    """One chunk of every kind beside the `message` that the table asks for, in an order a run could have."""
    edit = Struct()
    edit.update(EDIT)
    edits = pb.EditorOperations(document_id="d1")
    edits.operations.append(edit)
    call = pb.ToolCall(tool_call_id="t1", tool_name="SearchWeb", read_only=True)
    result = pb.ToolResult(tool_call_id="t1", tool_name="SearchWeb", ok=True, summary="2 hits")
    approved = pb.PermissionResolved(permission_id="p1", state=pb.PERMISSION_STATE_APPROVED, decided_by="u1")
    reset = pb.StreamReset(from_sequence=99, reason=pb.RESET_REASON_NEW_ATTEMPT, attempt=2)
    image = pb.Artifact(artifact_id="a1", mime_type="image/png", data=b"\x00\xff")
    # First, because only an unlogged chunk has the sequence 0.
    yield "", pb.ChatChunk(heartbeat=pb.Heartbeat())
    yield AGENT, pb.ChatChunk(agent_update=pb.AgentUpdate(agent_name=AGENT, routing_reason="asked for"))
    yield "thinking", pb.ChatChunk(status=pb.StatusUpdate(state=pb.TASK_STATE_RUNNING, text="thinking"))
    yield "Hello ", pb.ChatChunk(content=pb.ContentDelta(text="Hello "))
    yield "the plan changed", pb.ChatChunk(plan=pb.PlanUpdate())
    yield "SearchWeb", pb.ChatChunk(tool_call=call, metadata={"arguments": json.dumps({"query": "x"})})
    yield "SearchWeb", pb.ChatChunk(tool_result=result, metadata={"summary": json.dumps("2 hits")})
    yield (
        json.dumps({"permission_id": "p1"}),
        pb.ChatChunk(permission_requested=pb.PermissionRequested(permission=PERMISSION)),
    )
    yield "approved by u1", pb.ChatChunk(permission_resolved=approved)
    yield "attempt 2", pb.ChatChunk(reset=reset)
    yield json.dumps([EDIT]), pb.ChatChunk(editor_operations=edits)
    yield "a chart", pb.ChatChunk(artifact=image)
    yield "world é漢", pb.ChatChunk(content=pb.ContentDelta(text="world é漢", offset=6))
    yield "A greeting", pb.ChatChunk(title=pb.ConversationTitle(title="A greeting"))
    yield "saved", pb.ChatChunk(notification=pb.Notification(title="Done", body="saved", level="info"))
    yield "Hello world é漢", pb.ChatChunk(complete=pb.Completion(final_text="Hello world é漢"))


def error_payload() -> tuple[str, pb.ChatChunk]:
    failure = pb.ErrorDetail(code=14, reason="PROVIDER_UNAVAILABLE", message="no provider", retryable=True)
    return failure.message, pb.ChatChunk(error=failure)


def filled(numbered: tuple[int, tuple[str, pb.ChatChunk]]) -> pb.ChatChunk:
    """The chunk as it is sent: with the strings that callers of the original contract read."""
    number, (message, chunk) = numbered
    chunk.type = TYPES[chunk.WhichOneof("payload") or ""]
    chunk.message = message
    chunk.agent_name = AGENT
    chunk.timestamp = (BEGIN + timedelta(milliseconds=number)).isoformat()
    chunk.time.FromDatetime(BEGIN + timedelta(milliseconds=number))
    chunk.run_id = "r1"
    chunk.sequence = number
    chunk.usage.input_tokens = number
    return chunk


ANSWER = list(map(filled, enumerate(payloads())))
FAILURE = filled((1, error_payload()))


class Servicer(pb_grpc.OrchestratorServiceServicer):
    """Streams one chunk of every kind, or for the query "fail" an error and its status."""

    def __init__(self) -> None:
        self.request = pb.ChatRequest()

    def StreamChat(self, request: pb.ChatRequest, context: grpc.ServicerContext) -> Iterator[pb.ChatChunk]:
        self.request = request
        if request.query == "fail":
            yield FAILURE
            context.abort(grpc.StatusCode.UNAVAILABLE, FAILURE.error.message)
        yield from ANSWER


# pytest-grpc builds server, channel and stub from the four fixtures below.
@pytest.fixture(scope="module")
def grpc_addr() -> Iterator[str]:
    # The plugin's own leaves a socket unclosed, and the port it found may be taken again before it is bound.
    with TemporaryDirectory() as folder:
        yield f"unix:{folder}/grpc"


@pytest.fixture(scope="module")
def grpc_servicer() -> Servicer:
    return Servicer()


@pytest.fixture(scope="module")
def grpc_add_to_server() -> Callable[[Servicer, grpc.Server], None]:
    return pb_grpc.add_OrchestratorServiceServicer_to_server


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[OldOrchestratorStub]:
    return OldOrchestratorStub


def ask(query: str) -> Message:
    return old_class("orchestrator.ChatRequest")(user_id="u1", query=query)


class Screen:
    """What callers of the original contract do with a stream: switch on `type`, show what they know."""

    def __init__(self) -> None:
        self.answer = ""
        self.final = ""
        self.status: list[str] = []
        self.ignored: list[str] = []

    def show(self, chunk: Any) -> None:
        match chunk.type:
            case "content":
                self.answer += chunk.message
            case "status":
                self.status.append(chunk.message)
            case "complete":
                self.final = chunk.message
            case "tool_call" | "agent_update" | "error":
                pass
            case unknown:
                self.ignored.append(unknown)


def test_the_table_has_a_type_for_every_payload_and_the_answer_or_the_failure_sends_it() -> None:
    payload = pb.ChatChunk.DESCRIPTOR.oneofs_by_name["payload"]
    assert set(TYPES) == {field.name for field in payload.fields}
    assert {chunk.WhichOneof("payload") for chunk in [*ANSWER, FAILURE]} == set(TYPES)


def test_an_old_caller_reads_type_message_agent_and_time_of_every_chunk(
    grpc_stub: OldOrchestratorStub,
) -> None:
    read = list(grpc_stub.StreamChat(ask("hi")))
    assert [(chunk.type, chunk.message) for chunk in read] == [(c.type, c.message) for c in ANSWER]
    assert {chunk.agent_name for chunk in read} == {AGENT}
    times = [datetime.fromisoformat(chunk.timestamp) for chunk in read]
    assert times == sorted(times)
    assert times[0] == BEGIN
    assert [dict(chunk.metadata) for chunk in read] == [dict(chunk.metadata) for chunk in ANSWER]


def test_an_old_caller_shows_the_answer_and_ignores_types_it_does_not_know(
    grpc_stub: OldOrchestratorStub,
) -> None:
    screen = Screen()
    for chunk in grpc_stub.StreamChat(ask("hi")):
        screen.show(chunk)
    assert screen.answer == screen.final == "Hello world é漢"
    assert screen.status == ["", "thinking", "the plan changed", "approved by u1", "attempt 2", "a chart"]
    assert screen.ignored == ["permission_request", "editor_operations", "title", "notification"]


def test_fields_that_an_old_caller_does_not_know_survive_it(grpc_stub: OldOrchestratorStub) -> None:
    passed_on = [chunk.SerializeToString() for chunk in grpc_stub.StreamChat(ask("hi"))]
    assert [pb.ChatChunk.FromString(chunk) for chunk in passed_on] == ANSWER


def test_an_old_caller_reads_the_error_chunk_and_then_its_status(grpc_stub: OldOrchestratorStub) -> None:
    call = grpc_stub.StreamChat(ask("fail"))
    chunk = next(call)
    assert (chunk.type, chunk.message) == ("error", "no provider")
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert raised.value.details() == "no provider"


def test_every_field_of_an_old_callers_request_arrives(
    grpc_stub: OldOrchestratorStub, grpc_servicer: Servicer
) -> None:
    golden = golden_bytes()["orchestrator.ChatRequest"]
    list(grpc_stub.StreamChat(old_class("orchestrator.ChatRequest").FromString(golden)))
    assert grpc_servicer.request == pb.ChatRequest.FromString(golden)
    # What an old caller cannot know is not set: the server's defaults apply.
    assert not grpc_servicer.request.HasField("run_options")
    assert grpc_servicer.request.request_id == ""


def test_a_core_rpc_that_a_server_does_not_offer_is_unimplemented(grpc_stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        grpc_stub.HealthCheck(old_class("orchestrator.HealthCheckRequest")())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
