"""Requests that are right but for the ids that a case puts into them."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from protos import orchestrator_pb2 as pb
from tests.isolation.kinds import METHODS
from tests.isolation.world import LATER

NEEDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "GetTaskStatus": ("task_id", frozenset()),
    "WatchTask": ("task_id", frozenset()),
    "CancelTask": ("task_id", frozenset({"request_id"})),
    "RetryTask": ("task_id", frozenset()),
    "ResumeStream": ("run_id", frozenset({"conversation_id"})),
    "ApprovePermission": ("permission_id", frozenset({"conversation_id"})),
    "ListCheckpoints": ("conversation_id", frozenset()),
    "DeleteConversation": ("conversation_id", frozenset()),
}
"""The id that a call cannot do without, and those that may stand in for it."""

_BEATING = {"stream_options": pb.StreamOptions(heartbeat_interval=Duration(nanos=300_000_000))}
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "ResumeStream": _BEATING,
    "WatchTask": _BEATING,
    "StartTask": {"not_before": LATER},
    "RetryTask": {"from_start": True},
    "ApprovePermission": {"operation_type": "file_write"},
}


def request(method: str, user: str, ids: Mapping[str, str], **fields: Any) -> Message:
    """A request of a user; `fields` that it does not have are left out."""
    kind = GetMessageClass(METHODS[method].input_type)
    known = kind.DESCRIPTOR.fields_by_name
    values = {"user_id": user, **_BESIDE.get(method, {}), **fields}
    message: Message = kind(**{name: value for name, value in values.items() if name in known})
    if "operation_type" in known and "conversation_id" not in ids:
        message.ClearField("operation_type")
    for path, value in ids.items():
        _put(message, path.split("."), value)
    return message


def _put(message: Any, path: list[str], value: str) -> None:
    for name in path[:-1]:
        inner = getattr(message, name)
        message = inner.add() if hasattr(inner, "add") else inner
    last = getattr(message, path[-1])
    if isinstance(last, str):
        setattr(message, path[-1], value)
    else:
        last["project"] = value
