"""Runs and the line as those see them who ask about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from state.models import ConversationId, FinishReason, Priority, Run, RunId, RunState


@dataclass(frozen=True, slots=True)
class LineLoad:
    """How full the line is, over all replicas; `queued` counts up to the high mark."""

    queued: int
    refusing: bool


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A run as those see it who ask about it; `attempt` counts tries alone. `place` is 0 out of the line.

    `end` is the last record of a log that has ended; `usage` is as it was stored.
    """

    run: Run
    result: str
    finish_reason: FinishReason | None
    usage: Mapping[str, Any]
    update_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    priority: Priority
    labels: Mapping[str, str]
    deferrals: int
    retry_of: RunId | None
    place: int
    end: bytes | None


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None and nothing = all."""

    conversation_id: ConversationId | None = None
    states: tuple[RunState, ...] = ()
    created_after: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
