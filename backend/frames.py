"""Events as server-sent events: `event:` is the kind, `id:` the sequence, `data:` one line of JSON."""

from base64 import b64encode
from typing import Any

from backend.plain import dumps, plain
from llm_orchestrator_client.events import Event, Heartbeat, Unknown

COMMENT = b": heartbeat\n\n"
PROBLEM = "problem"
"""The kind of what ends a stream without an `error` of its run's."""


def frame(event: Event) -> bytes:
    """A heartbeat is a comment. What is not in the run's log has no id: nothing can be resumed after it."""
    if isinstance(event, Heartbeat):
        return COMMENT
    number = f"id: {event.sequence}\n" if event.sequence else ""
    return f"event: {event.KIND}\n{number}data: {dumps(data_of(event))}\n\n".encode()


def problem_frame(body: dict[str, Any]) -> bytes:
    """The end of a stream that could not be read to its end."""
    return f"event: {PROBLEM}\ndata: {dumps(body)}\n\n".encode()


def data_of(event: Event) -> dict[str, Any]:
    """All that the event carries. What this client does not know yet is told as its message's bytes."""
    data: dict[str, Any] = {"kind": event.KIND, **plain(event)}
    if isinstance(event, Unknown) and event.chunk is not None:
        data["chunk"] = b64encode(event.chunk.SerializeToString()).decode()
    return data
