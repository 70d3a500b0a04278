"""Every payload of the contract has a typed event, and nothing of a chunk is lost on the way."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from llm_orchestrator_client import events
from llm_orchestrator_client.events import ContentDelta, Event, StreamReset, Unknown, event_of
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import ResetReason, TaskState

PAYLOADS: list[str] = [field.name for field in pb.ChatChunk.DESCRIPTOR.oneofs_by_name["payload"].fields]
# Whose name on the event differs from the contract's, or which is spread over others.
RENAMED = {"agent_update.agent_name": "name"}


def event_class(payload: str) -> type[Event]:
    (found,) = (kind for kind in Event.__subclasses__() if payload == kind.KIND)
    return found


def payload_type(payload: str) -> Descriptor:
    field: FieldDescriptor = pb.ChatChunk.DESCRIPTOR.fields_by_name[payload]
    assert field.message_type is not None
    return field.message_type


@pytest.mark.parametrize("payload", PAYLOADS)
def test_each_payload_has_an_event_with_each_of_its_fields(payload: str) -> None:
    kind = event_class(payload)
    own = {field.name for field in dataclasses.fields(kind)}
    for field in payload_type(payload).fields:
        named = "error" if payload == "error" else RENAMED.get(f"{payload}.{field.name}", field.name)
        assert named in own, f"{kind.__name__} does not have {field.name}"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_each_payload_is_read_as_its_event_even_when_it_is_empty(payload: str) -> None:
    chunk = pb.ChatChunk(sequence=7, run_id="run", agent_name="chat", tools_used=["a"])
    getattr(chunk, payload).SetInParent()
    chunk.metadata["k"] = "v"
    chunk.usage.input_tokens = 3
    event = event_of(chunk)
    assert type(event) is event_class(payload)
    assert (event.sequence, event.run_id, event.agent_name) == (7, "run", "chat")
    assert (event.metadata, event.tools_used) == ({"k": "v"}, ("a",))
    assert event.usage is not None
    assert event.usage.input_tokens == 3
    assert event.chunk is chunk


def test_a_payload_of_a_newer_server_is_an_unknown_that_keeps_its_bytes() -> None:
    newer = pb.ChatChunk(type="status", message="a readable line", sequence=9).SerializeToString()
    newer += b"\xea\x07\x03abc"  # field 125, which this contract does not have
    event = event_of(pb.ChatChunk.FromString(newer))
    assert isinstance(event, Unknown)
    assert (event.type, event.message, event.sequence) == ("status", "a readable line", 9)
    assert event.chunk is not None
    assert event.chunk.SerializeToString(deterministic=True) == newer


def test_a_number_that_an_enum_does_not_know_reads_as_unspecified() -> None:
    chunk = pb.ChatChunk()
    chunk.status.state = 77  # type: ignore[assignment]
    event = event_of(chunk)
    assert isinstance(event, events.StatusUpdate)
    assert event.state is TaskState.UNSPECIFIED
    assert event.chunk is not None
    assert event.chunk.status.state == 77


def test_times_are_aware_and_durations_are_exact_to_the_microsecond() -> None:
    chunk = pb.ChatChunk()
    chunk.time.FromJsonString("2026-01-31T10:00:00.123456Z")
    chunk.status.estimated_wait.FromMilliseconds(1500)
    event = event_of(chunk)
    assert isinstance(event, events.StatusUpdate)
    assert event.time == datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)
    assert event.estimated_wait == timedelta(seconds=1.5)
    assert event.progress is None


def test_json_reads_as_python_with_whole_numbers_as_ints() -> None:
    chunk = pb.ChatChunk()
    chunk.tool_call.arguments.update({"n": 2, "x": 0.5, "list": [None, True, "s"], "in": {"deep": {}}})
    event = event_of(chunk)
    assert isinstance(event, events.ToolCall)
    assert event.arguments == {"n": 2, "x": 0.5, "list": [None, True, "s"], "in": {"deep": {}}}
    assert isinstance(event.arguments["n"], int)


def test_a_reset_says_which_text_is_void() -> None:
    again = StreamReset(5, ResetReason.NEW_ATTEMPT)
    assert [again.voids(sequence) for sequence in (4, 5, 6)] == [False, True, True]
    pruned = StreamReset(5, ResetReason.PRUNED)
    assert [pruned.voids(sequence) for sequence in (4, 5, 6)] == [True, False, False]


def test_an_event_can_be_made_by_hand_and_not_changed() -> None:
    event = ContentDelta("hello")
    assert (event.text, event.sequence, event.chunk) == ("hello", 0, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.text = "other"  # type: ignore[misc]
