"""Clients for tests: quick to try again, and what they have read."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llm_orchestrator_client import Event, Options, OrchestratorClient, Patience, RunStream
from llm_orchestrator_client.events import ContentDelta

QUICK = Patience(connect=3.0, resume=60.0, silence=10.0, first_delay=0.02, most_delay=0.2, leave=5.0)


def client_of(
    target: str | Sequence[str], *, patience: Patience = QUICK, **changed: Any
) -> OrchestratorClient:
    """Ann's client."""
    return OrchestratorClient(replace(Options(target, user_id="ann", patience=patience), **changed))


async def rest_of(stream: RunStream) -> list[Event]:
    """Every event that is still to come."""
    return [event async for event in stream]


async def into(events: list[Event], stream: RunStream) -> None:
    """Read to the end, into a list that keeps what came before a failure."""
    async for event in stream:
        events.append(event)


async def first_text(stream: RunStream) -> list[Event]:
    """The events up to the first text."""
    events: list[Event] = []
    async for event in stream:
        events.append(event)
        if isinstance(event, ContentDelta) and event.text:
            return events
    raise AssertionError("no text came")


def sequences(events: Sequence[Event]) -> list[int]:
    """Of what is in the log."""
    return [event.sequence for event in events if event.sequence]
