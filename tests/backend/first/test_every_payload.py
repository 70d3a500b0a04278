"""Every payload that a ChatChunk may have reaches the stream, with every value that it holds."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from backend.frames import COMMENT, frame
from llm_orchestrator_client.events import event_of
from llm_orchestrator_client.protos import orchestrator_pb2 as pb

PAYLOADS = [field.name for field in pb.ChatChunk.DESCRIPTOR.oneofs_by_name["payload"].fields]
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: 7,
    FieldDescriptor.CPPTYPE_INT64: 8,
    FieldDescriptor.CPPTYPE_DOUBLE: 0.5,
    FieldDescriptor.CPPTYPE_BOOL: True,
}
# Names that the contract keeps beside a payload's own fields for callers that know no payloads.
_OLD_TIME = "PendingPermission.timestamp"  # create_time as a string
_OLD_NAMES = {"type", "message", "timestamp", "tools_used"}


def filled(message: Message, path: str = "") -> Iterator[Any]:
    """Set every field; the values as JSON should show them."""
    for field in message.DESCRIPTOR.fields:
        if f"{message.DESCRIPTOR.name}.{field.name}" == _OLD_TIME:
            continue
        yield from _set(message, field, f"{path}.{field.name}")


def _set(message: Message, field: Any, path: str) -> Iterator[Any]:
    if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
        return
    if field.message_type is not None and field.message_type.full_name.startswith("google.protobuf."):
        yield from _well_known(message, field, path)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["key"] = path
        yield path
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner = inner.add() if field.is_repeated else inner
        inner.SetInParent()
        yield from filled(inner, path)
    else:
        value, shown = _scalar(field, path)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
        yield shown


def _well_known(message: Message, field: Any, path: str) -> Iterator[Any]:
    inner = getattr(message, field.name)
    match field.message_type.name:
        case "Struct":
            inner["key"] = path
            yield path
        case "ListValue":
            entry = Struct()
            entry["key"] = path
            inner.append(entry)
            yield path
        case "Timestamp":
            inner.FromJsonString("2026-11-22T01:02:03Z")
            yield "2026-11-22T01:02:03+00:00"
        case "Duration":
            inner.FromMilliseconds(1500)
            yield 1.5
        case name:
            raise AssertionError(f"{path}: nobody says how a {name} is filled")


def _scalar(field: Any, path: str) -> tuple[Any, Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_ENUM:
            value = field.enum_type.values[1]
            return value.number, value.name.rpartition("_")[2]
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return path.encode(), b64encode(path.encode()).decode()
        case FieldDescriptor.CPPTYPE_STRING:
            return path, path
        case kind:
            return _NUMBERS[kind], _NUMBERS[kind]


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_reaches_the_stream_whole(name: str) -> None:
    chunk = pb.ChatChunk(sequence=5)
    payload = getattr(chunk, name)
    payload.SetInParent()
    wanted = list(filled(payload))
    written = frame(event_of(chunk))
    if name == "heartbeat":
        assert written == COMMENT
        return
    lines = written.decode().split("\n")
    assert (lines[0], lines[1], lines[3:]) == (f"event: {name}", "id: 5", ["", ""])
    data = json.loads(lines[2].removeprefix("data: "))
    shown = list(_leaves(data))
    assert [value for value in wanted if value not in shown] == []


def test_what_every_chunk_carries_reaches_the_stream() -> None:
    chunk = pb.ChatChunk(content=pb.ContentDelta(text="x"))
    wanted = [
        value
        for field in chunk.DESCRIPTOR.fields
        if field.containing_oneof is None and field.name not in _OLD_NAMES
        for value in _set(chunk, field, field.name)
    ]
    chunk.tools_used.append("a tool")
    shown = list(_leaves(json.loads(frame(event_of(chunk)).decode().split("data: ")[1])))
    assert [value for value in [*wanted, "a tool"] if value not in shown] == []


def test_a_payload_of_a_newer_server_is_told_as_its_bytes() -> None:
    newer = pb.ChatChunk(type="novelty", message="new", sequence=3).SerializeToString() + b"\xfa\x07\x02hi"
    data = json.loads(frame(event_of(pb.ChatChunk.FromString(newer))).decode().split("data: ")[1])
    assert (data["kind"], data["type"], data["message"]) == ("unknown", "novelty", "new")
    assert data["chunk"] == b64encode(newer).decode()


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
