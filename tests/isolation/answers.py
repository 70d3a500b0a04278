"""What a call was answered, in a form in which two answers are equal that tell a caller the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from protos import orchestrator_pb2 as pb

_MADE = frozenset({
    "task_id", "run_id", "permission_id", "checkpoint_id", "parent_checkpoint_id", "retry_of",
    "next_page_token", "tool_call_id", "generation_id", "conversation_id", "subject",
})  # fmt: skip
"""What the service makes up for each thing anew; of a length that the caller does not choose."""
_CHANGING = frozenset({
    "usage", "sequence", "timestamp", "queue_position", "estimated_wait", "last_sequence", "preview",
})  # fmt: skip
_TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
_DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.ResourceInfo,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.RetryInfo,
)
_WAITING = (pb.TASK_STATE_QUEUED, pb.TASK_STATE_WAITING_FOR_PERMISSION)
_PIECES = ("heartbeat", "title")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended. `said`: all that came, as it came, where a leak would be found."""

    code: grpc.StatusCode
    messages: tuple[Message, ...]
    error: str
    details: tuple[Message, ...]
    said: str

    @property
    def ok(self) -> bool:
        return self.code is grpc.StatusCode.OK

    def as_told(self, echoed: Iterable[str]) -> list[Any]:
        """All but what differs between equal things; of what the caller has sent only that it was echoed."""
        names = [name for name in echoed if name]
        return [
            self.code.name,
            _text(self.error, names),
            [_told(detail, names) for detail in self.details],
            [_told(message, names) for message in _without_pieces(self.messages)],
        ]


def answered(messages: list[Message], metadata: Iterable[object]) -> Answer:
    """A call that went well."""
    return _answer(grpc.StatusCode.OK, messages, "", (), metadata)


def failed(error: grpc.aio.AioRpcError, messages: list[Message], metadata: Iterable[object]) -> Answer:
    """A call that did not, and what came before."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    details = [_unpacked(detail) for detail in status.details] if status is not None else []
    metadata = [*metadata, *(error.trailing_metadata() or ())]
    return _answer(error.code(), messages, error.details() or "", details, metadata)


def stands_still(messages: list[Message]) -> bool:
    """Whether a stream has come to the end of the log of a run that waits: it stays open."""
    chunks = [message.chunk if isinstance(message, pb.WatchTaskResponse) else message for message in messages]
    log = [chunk for chunk in chunks if isinstance(chunk, pb.ChatChunk) and not chunk.HasField("heartbeat")]
    return bool(log) and _payload(messages[-1]) == "heartbeat" and log[-1].status.state in _WAITING


def _answer(
    code: grpc.StatusCode,
    messages: list[Message],
    error: str,
    details: Iterable[Message],
    metadata: Iterable[object],
) -> Answer:
    found = tuple(details)
    said = "\n".join([error, *(str(part) for part in (*messages, *found, *metadata))])
    return Answer(code, tuple(messages), error, found, said)


def _unpacked(detail: Any) -> Message:
    for kind in _DETAILS:
        message: Message = kind()
        if detail.Unpack(message):
            return message
    raise AssertionError(f"nobody knows {detail.type_url}")


def _without_pieces(messages: Iterable[Message]) -> list[Message]:
    """Without what depends on time alone; of texts that come in pieces the last chunk has the whole."""
    chunks = [(_payload(message), message) for message in messages]
    chunks = [(kind, message) for kind, message in chunks if kind not in _PIECES]
    whole = [next(group) for _, group in groupby(chunks, lambda pair: pair[0] or object())]
    return [message for kind, message in whole if kind != "content"]


def _payload(message: Message) -> str | None:
    if isinstance(message, pb.WatchTaskResponse):
        message = message.chunk
    return message.WhichOneof("payload") if isinstance(message, pb.ChatChunk) else None


def _told(value: Any, names: list[str], field: str = "") -> Any:
    if isinstance(value, str):
        return _made(value, names, field)
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name in _TIMES:
            return "a time"
        fields = {name.name: part for name, part in value.ListFields()}
        return {name: _told(part, names, name) for name, part in fields.items() if name not in _CHANGING}
    if isinstance(value, Mapping):
        return {_text(str(key), names): _told(value[key], names, str(key)) for key in sorted(value)}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_told(part, names) for part in value]
    return value


def _made(value: str, names: list[str], field: str) -> str:
    if value in names or field not in _MADE:
        return _text(value, names)
    return "made" if value else ""


def _text(text: str, names: list[str]) -> str:
    for number, name in sorted(enumerate(names), key=lambda pair: -len(pair[1])):
        text = text.replace(name, f"<{number}>")
    return text
