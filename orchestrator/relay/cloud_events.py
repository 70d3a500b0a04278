"""Events as CloudEvents 1.0 in structured mode: one JSON text with everything in it (docs/events.md)."""

from datetime import UTC
from typing import Any

import orjson

from state.outbox import OutboxEvent

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
TYPES = (
    "run.queued",
    "run.started",
    "run.waiting",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "run.expired",
    "queue.full",
    "queue.accepting",
    "provider.unavailable",
    "provider.recovered",
    "permission.requested",
    "permission.decided",
    "usage.recorded",
)
VERSION = 1
"""Of all data. What is only added keeps it; each type's schema names it."""


def subject(event: OutboxEvent) -> str:
    """What the event concerns. It is the key, too: what has the same one keeps its order."""
    if event.run_id is not None:
        return f"run/{event.run_id}"
    kind = event.type.partition(".")[0]
    provider = event.data.get("provider")
    return f"{kind}/{provider}" if provider else kind


def cloud_event(event: OutboxEvent, source: str) -> dict[str, Any]:
    """Its id and everything else is the same however often it is sent.

    `sequence` is the extension of that name: it grows from one event of a subject to the next, as text too.
    """
    about = subject(event)
    data: dict[str, Any] = dict(event.data)
    if event.run_id is not None:
        data["run_id"] = event.run_id
        data["user_id"] = event.owner
    return {
        "specversion": "1.0",
        "id": f"{about}/{event.event_id}",
        "source": source,
        "type": event.type,
        "subject": about,
        "time": event.create_time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": f"urn:llm-orchestrator:event:{event.type}:v{VERSION}",
        "sequence": f"{event.event_id:019d}",
        "data": data,
    }


def message(event: OutboxEvent, source: str) -> tuple[bytes, bytes]:
    """Key and value of a broker's message."""
    return key(event), orjson.dumps(cloud_event(event, source))


def key(event: OutboxEvent) -> bytes:
    """A run's id as callers know it, else the subject."""
    return (event.run_id or subject(event)).encode()
