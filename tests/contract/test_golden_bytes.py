"""The original contract byte by byte: what an old caller writes and reads, our stubs read and write."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import MethodDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from protos import orchestrator_pb2, tool_service_pb2
from tests.contract.old_caller import (
    CORE,
    core_messages,
    golden_bytes,
    golden_values,
    old_class,
    plain,
)

VALUES = golden_values()
BYTES = golden_bytes()
TODAY = {"orchestrator": orchestrator_pb2.DESCRIPTOR, "tool_service": tool_service_pb2.DESCRIPTOR}
NAMES = [message.full_name for message in core_messages()]
SERVICES = ("orchestrator.OrchestratorService", "tool_service.ToolService")

each_core_message = pytest.mark.parametrize("name", NAMES)


def our_descriptor(name: str) -> Descriptor:
    package, _, message = name.partition(".")
    return TODAY[package].message_types_by_name[message]


def our_class(name: str) -> type[Message]:
    return GetMessageClass(our_descriptor(name))


def leaves(value: Any) -> Iterator[Any]:
    """The scalars in a value, whatever it is nested in."""
    match value:
        case dict():
            for item in value.values():
                yield from leaves(item)
        case list():
            for item in value:
                yield from leaves(item)
        case _:
            yield value


def test_there_are_golden_bytes_for_every_core_message_and_for_no_other() -> None:
    assert list(VALUES) == NAMES
    assert list(BYTES) == NAMES


@each_core_message
def test_the_table_sets_every_core_field(name: str) -> None:
    fields = CORE.FindMessageTypeByName(name).fields
    assert set(VALUES[name]) == {field.name for field in fields}


@each_core_message
def test_the_table_gives_every_field_a_value_of_its_own(name: str) -> None:
    values = [leaf for leaf in leaves(VALUES[name]) if not isinstance(leaf, bool)]
    assert len(set(values)) == len(values)
    # A default is not written: its field would not be in the bytes at all.
    assert all(values)


@each_core_message
def test_our_classes_write_the_golden_bytes(name: str) -> None:
    message = json_format.ParseDict(VALUES[name], our_class(name)())
    assert message.SerializeToString(deterministic=True).hex() == BYTES[name].hex()


@each_core_message
def test_an_old_caller_reads_every_field_of_our_bytes(name: str) -> None:
    ours = json_format.ParseDict(VALUES[name], our_class(name)())
    assert plain(old_class(name).FromString(ours.SerializeToString())) == VALUES[name]
    assert plain(old_class(name).FromString(BYTES[name])) == VALUES[name]


@each_core_message
def test_we_read_every_field_of_an_old_callers_bytes(name: str) -> None:
    theirs = json_format.ParseDict(VALUES[name], old_class(name)())
    assert plain(our_class(name).FromString(theirs.SerializeToString())) == VALUES[name]


def promise(field: FieldDescriptor) -> tuple[object, ...]:
    """What an old caller relies on, on the wire and in JSON."""
    kind = field.message_type.full_name if field.message_type else field.type
    # An `optional` is a oneof of its own; moving a field into another oneof changes what callers may set.
    oneof = field.containing_oneof.name if field.containing_oneof else ""
    return (field.name, field.number, kind, field.is_repeated, field.has_presence, field.json_name, oneof)


@each_core_message
def test_every_core_field_keeps_its_name_number_type_and_label(name: str) -> None:
    old, ours = CORE.FindMessageTypeByName(name), our_descriptor(name)
    # A map is a repeated message nested in its own: a changed key or value type shows only there.
    pairs = [(old, ours)] + [(entry, ours.nested_types_by_name[entry.name]) for entry in old.nested_types]
    for before, after in pairs:
        assert {promise(field) for field in before.fields} <= {promise(field) for field in after.fields}


@pytest.mark.parametrize("service", SERVICES)
def test_every_core_rpc_keeps_its_name_types_and_streaming(service: str) -> None:
    package, _, name = service.partition(".")
    ours = {}
    for method in TODAY[package].services_by_name[name].methods:
        ours[method.name] = MethodDescriptorProto()
        method.CopyToProto(ours[method.name])
    for method in CORE.FindServiceByName(service).methods:
        before = MethodDescriptorProto()
        method.CopyToProto(before)
        assert ours[method.name] == before


@pytest.mark.parametrize(
    "name",
    [
        "orchestrator.ChatRequest",
        "tool_service.ToggleOrgInboxItemRequest",
        "tool_service.UpdateOrgInboxItemRequest",
        "tool_service.SetOrgInboxScheduleRequest",
        "tool_service.ApplyOrgInboxTagsRequest",
    ],
)
def test_additions_to_messages_that_others_extended_too_are_numbered_from_100(name: str) -> None:
    core = {field.number for field in CORE.FindMessageTypeByName(name).fields}
    added = {field.number for field in our_descriptor(name).fields} - core
    assert added
    assert min(added) >= 100
