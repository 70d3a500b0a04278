"""Requests and page tokens: whatever comes, a command or a refusal that names the field."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

from google.protobuf.message import DecodeError, Message

from orchestrator.codec import approvals, pages, readers, requests, tasks, usage
from protos import orchestrator_pb2 as pb
from state.errors import InvalidRequestError, UnimplementedError
from state.models import RunKind
from telemetry import traceparent
from tests.fuzz.picking import Picker

_REFUSED = (InvalidRequestError, UnimplementedError)


def _chat(request: pb.ChatRequest) -> object:
    return requests.chat_command(request, None), readers.reader_options(request.stream_options)


def _checkpoints(request: pb.ListCheckpointsRequest) -> object:
    owner, conversation = readers.conversation(request)
    before = pages.page_position(f"checkpoints:{conversation}", request.page_token)
    return owner, conversation, before, pages.page_size(request.page_size)


DECODERS: Mapping[type[Message], Callable[[Any], object]] = {
    pb.ChatRequest: _chat,
    pb.TaskRequest: tasks.start_command,
    pb.TaskStatusRequest: tasks.task_id,
    pb.WatchTaskRequest: lambda request: (tasks.task_id(request), readers.watch_command(request)),
    pb.ResumeStreamRequest: readers.resume_command,
    pb.CancelTaskRequest: tasks.cancel,
    pb.RetryTaskRequest: tasks.retry,
    pb.ListTasksRequest: tasks.listing,
    pb.PermissionApproval: approvals.approval_command,
    pb.PermissionRequest: approvals.listing,
    pb.ListCheckpointsRequest: _checkpoints,
    pb.DeleteConversationRequest: readers.conversation,
    pb.GetUsageRequest: usage.span,
}
"""What the servicer makes of each request that says anything."""

_KINDS = tuple(DECODERS)


def request_bytes(data: bytes) -> None:
    """Bytes as a caller may send them, once as they are and once as a message with such fields.

    What is accepted is the same after a trip over the wire, holds nothing that Postgres cannot keep, and a
    turn that was accepted can be read again from its run's row.
    """
    picker = Picker(data)
    kind = picker.one_of(_KINDS)
    message = kind()
    if picker.below(2):
        picker.fill(message)
    else:
        try:
            message.ParseFromString(picker.rest())
        except DecodeError:
            return
    told = _answer(message)
    again = type(message).FromString(message.SerializeToString())
    assert _text(_answer(again)) == _text(told)
    if isinstance(message, pb.ChatRequest) and not isinstance(told, _REFUSED):
        _kept(message)


def _answer(message: Message) -> object:
    try:
        told = DECODERS[type(message)](message)
    except _REFUSED as refusal:
        assert str(refusal)  # noqa: PT017 - no test, a target
        return refusal
    assert not any("\0" in text for text in _strings(told)), "Postgres keeps no NUL"
    return told


def _text(value: object) -> str:
    """For comparing: a map of protobuf's has another order each time, and a NaN equals nothing."""
    if is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return str([(name, _text(one)) for name, one in named if name != "request"])
    if isinstance(value, Mapping):
        return str(sorted((str(key), _text(one)) for key, one in value.items()))
    if isinstance(value, frozenset):
        return str(sorted(map(_text, value)))
    return str([_text(one) for one in value]) if isinstance(value, tuple) else repr(value)


def _strings(value: object) -> Iterator[str]:
    """All text in it. Bytes, of a kept request, an image or a digest, may be any."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        yield from chain.from_iterable(_strings(getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_strings, chain(value.keys(), value.values())))
    elif isinstance(value, tuple | list | frozenset):
        yield from chain.from_iterable(map(_strings, value))


def _kept(message: pb.ChatRequest) -> None:
    assignment = requests.chat_command(message, None).assignment
    for kind in RunKind:
        kept = requests.kept_assignment(kind, assignment.request)
        assert _text(kept.turn) == _text(assignment.turn)


def page_tokens(data: bytes) -> None:
    """Tokens that somebody made up: a position of that list or a refusal, and ours come back as they were."""
    picker = Picker(data)
    scope, kind = picker.one_of(("tasks", "x")), picker.below(4)
    if kind == 0:
        token = picker.rest().decode(errors="ignore")
    elif kind == 1:
        token = urlsafe_b64encode(picker.rest()).decode()
    elif kind == 2:
        token = urlsafe_b64encode(json.dumps([scope, picker.json()]).encode()).decode().rstrip("=")
    else:
        position = picker.rest().decode(errors="ignore").replace("\0", "")
        token = pages.page_token(scope, position)
        assert pages.page_position(scope, token) == position
    try:
        position = pages.page_position(scope, token)
        position.encode()  # else Postgres cannot be asked for it
        found = pages.moment_and_id(position)
    except InvalidRequestError:
        return
    if found is not None:
        found[0].timestamp()
        assert found[0].tzinfo is not None, "a time without a zone is another one on every machine"


def trace_headers(data: bytes) -> None:
    """A trace context is taken over as it is or not at all, as W3C's own reading has it."""
    text = data.decode("latin-1")
    found, checked = traceparent.parts(text), traceparent.checked(text)
    fields = text.split("-")
    plain = [len(field) for field in fields] == [2, 32, 16, 2] and fields[0] == "00"
    valid = plain and all(set(field) <= set("0123456789abcdef") for field in fields)
    valid = valid and int(fields[1], 16) != 0 and int(fields[2], 16) != 0
    assert (found is not None) == valid == bool(checked)
    assert found is None or traceparent.written(*found) == checked == text
