"""Runs and the line as those see them who ask about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from state.models import ConversationId, FinishReason, NewRun, Priority, Record, Run, RunId, RunState


@dataclass(frozen=True, slots=True)
class LineLoad:
    """How full the line is, over all replicas, counted up to the high mark. `active`: queued or running."""

    queued: int
    refusing: bool
    active: int = 0


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

    @classmethod
    def of_new(cls, run: NewRun, state: RunState, time: datetime) -> Self:
        """A run as it stands when it is accepted: RUNNING in its first attempt, or not begun."""
        begun = state is RunState.RUNNING
        return cls(
            run=Run(
                run_id=run.run_id,
                owner=run.owner,
                kind=run.kind,
                conversation_id=run.conversation_id,
                agent_name=run.agent_name,
                state=state,
                attempt=int(begun),
                last_sequence=int(begun),
                error_reason="",
                create_time=time,
                wants=run.wants,
            ),
            result="",
            finish_reason=None,
            usage={},
            update_time=time,
            start_time=time if begun else None,
            end_time=None,
            priority=run.priority,
            labels=run.labels,
            deferrals=0,
            retry_of=run.retry_of,
            place=0,
            end=None,
        )


@dataclass(frozen=True, slots=True)
class SpooledTask:
    """A task that was accepted while Postgres was away.

    `first`: the first record of its log. `accept_time` is by this host's clock. `position` is its place in
    the order of acceptance, 0 until it has one.
    """

    run: NewRun
    first: Record
    accept_time: datetime
    position: int = 0


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; None and nothing = all."""

    conversation_id: ConversationId | None = None
    states: tuple[RunState, ...] = ()
    created_after: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
