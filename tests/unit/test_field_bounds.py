"""Every field of every request has a largest size; the descriptors say which there are."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orchestrator.codec.bounds import KEY_CHARACTERS, LONGEST, MOST, STRUCTS, VALUES, check_bounds, is_map
from orchestrator.servicer import SERVICE
from protos import orchestrator_pb2 as pb
from state.errors import InvalidRequestError

WELL_KNOWN = ("google.protobuf.Duration", "google.protobuf.Timestamp")
TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
Path = tuple[FieldDescriptor, ...]


def fields_of(message: Descriptor, above: Path = ()) -> Iterator[Path]:
    """Every field that may grow, as the way to it from a request."""
    for field in message.fields:
        way = (*above, field)
        kind = field.message_type
        if kind is not None and kind.full_name in WELL_KNOWN:
            continue
        if field.is_repeated or field.type in TEXTS or (kind and kind.full_name == "google.protobuf.Struct"):
            yield way
        if kind is not None and not is_map(field) and not kind.full_name.startswith("google."):
            yield from fields_of(kind, way)


WAYS = [(method.input_type, way) for method in SERVICE.methods for way in fields_of(method.input_type)]
EACH = pytest.mark.parametrize(
    ("request_type", "way"), WAYS, ids=[f"{kind.name}.{'.'.join(f.name for f in way)}" for kind, way in WAYS]
)


def holder(request_type: Descriptor, way: Path) -> tuple[Message, Message]:
    """An empty request, and the message in it that has the field at the end of the way."""
    request = inner = GetMessageClass(request_type)()
    for field in way[:-1]:
        value = getattr(inner, field.name)
        inner = value.add() if field.is_repeated else value
        inner.SetInParent()
    return request, inner


def value_of(entries: FieldDescriptor) -> FieldDescriptor:
    """What a map's values are."""
    assert entries.message_type is not None
    return entries.message_type.fields_by_name["value"]


def fill_entries(inner: Message, field: FieldDescriptor, entries: int) -> None:
    """Give a repeated field so many entries, each of them small."""
    value = getattr(inner, field.name)
    for number in range(entries):
        if not is_map(field):
            value.add() if field.message_type else value.append("" if field.type in TEXTS else 0)
        elif value_of(field).type in TEXTS:
            value[str(number)] = ""
        else:
            value[str(number)] = 1


def set_size(inner: Message, field: FieldDescriptor, over: int) -> bool:
    """Make the field's text, or an entry of it, as large as its bound and so much more; False: none."""
    if is_map(field):
        if value_of(field).type not in TEXTS:
            return False
        getattr(inner, field.name)["k"] = "x" * (VALUES[field.name] + over)
    elif field.type not in TEXTS:
        return False
    else:
        text = "x" * (LONGEST[field.name] + over)
        value = text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        getattr(inner, field.name).append(value) if field.is_repeated else setattr(inner, field.name, value)
    return True


def refused(request: Message) -> list[str]:
    try:
        check_bounds(request)
    except InvalidRequestError as error:
        return [violation.field for violation in error.violations]
    return []


@EACH
def test_a_field_may_be_as_large_as_its_bound_and_not_larger(request_type: Descriptor, way: Path) -> None:
    field = way[-1]
    for over in (0, 1):
        request, inner = holder(request_type, way)
        if field.name in STRUCTS:
            getattr(inner, field.name)["k"] = "x" * (STRUCTS[field.name] + (over or -100))
        elif not set_size(inner, field, over):
            return
        assert bool(refused(request)) is bool(over)
        assert all(field.name in path for path in refused(request))


@pytest.mark.parametrize("over", [0, 1])
def test_a_repeated_field_may_have_as_many_entries_as_its_bound_and_no_more(over: int) -> None:
    tried = 0
    for request_type, way in WAYS:
        field = way[-1]
        if not field.is_repeated:
            continue
        tried += 1
        request, inner = holder(request_type, way)
        fill_entries(inner, field, MOST[field.name] + over)
        assert bool(refused(request)) is bool(over), field.full_name
    assert tried > 20


@pytest.mark.parametrize("over", [0, 1])
def test_the_keys_of_every_map_have_a_largest_size(over: int) -> None:
    for request_type, way in WAYS:
        field = way[-1]
        if is_map(field):
            request, inner = holder(request_type, way)
            value = value_of(field)
            getattr(inner, field.name)["k" * (KEY_CHARACTERS + over)] = "" if value.type in TEXTS else 1
            assert bool(refused(request)) is bool(over), field.full_name


def test_no_bound_is_of_a_field_that_no_request_has() -> None:
    names = {way[-1].name for _, way in WAYS}
    assert {*LONGEST, *MOST, *VALUES, *STRUCTS} <= names


def test_every_field_that_is_too_large_is_named_with_its_place() -> None:
    request = pb.ChatRequest(
        session_id="s" * 300,
        conversation_history=[pb.ConversationMessage(), pb.ConversationMessage(timestamp="t" * 100)],
        conversation_intelligence=pb.ConversationIntelligence(cached_results=[pb.CachedResult()] * 257),
    )
    assert refused(request) == [
        "session_id",
        "conversation_history[1].timestamp",
        "conversation_intelligence.cached_results",
    ]
