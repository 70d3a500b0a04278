"""What has happened, for who listens from outside: rows of the outbox, until a broker has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from state.models import Owner, RunId


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One row. `event_id` gives the order of what concerns the same run, the same provider or the line.

    `run_id`: None for what concerns no run. `owner`: empty for what concerns no user.
    """

    event_id: int
    run_id: RunId | None
    owner: Owner
    type: str
    data: Mapping[str, Any]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """What no broker has yet: how many events, counted up to a bound, and the age of the oldest, seconds."""

    events: int
    oldest_seconds: float


class Outbox(Protocol):
    """The events that wait, for one relay at a time. Every method raises DatabaseUnavailableError."""

    async def next(self, most: int) -> Sequence[OutboxEvent] | None:
        """The oldest, in order; None: another process has its turn."""
        ...

    async def keep_turn(self) -> bool:
        """Go on having it, though nothing was asked for some time; False: another process has it."""
        ...

    async def forget(self, events: Sequence[OutboxEvent]) -> None:
        """The broker has these."""
        ...

    async def lag(self) -> Lag: ...
