"""A task as its callers give it, and as they see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.assignment import Assignment
from state.models import Priority, RequestKey, RunId
from state.permissions import Permission
from state.tasks import TaskRow


@dataclass(frozen=True, slots=True)
class TaskCommand:
    """A task as accepted. `queue_seconds`: how long it waits for its beginning; None = the server's own."""

    assignment: Assignment
    key: RequestKey | None = None
    priority: Priority = Priority.NORMAL
    not_before: datetime | None = None
    queue_seconds: float | None = None
    labels: dict[str, str] | None = None
    retry_of: RunId | None = None
    from_start: bool = False


@dataclass(frozen=True, slots=True)
class TaskView:
    """How a task stands. `wait_seconds` is measured, None when unknown.

    `deduplicated`: an earlier call has begun it. `spooled`: it is in the outage journal and nowhere else yet.
    `pending`: what it waits for a person to decide; lists of tasks leave that out.
    """

    row: TaskRow
    wait_seconds: float | None
    deduplicated: bool = False
    spooled: bool = False
    pending: Sequence[Permission] = ()


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """In seconds: how long a task waits for its beginning, and how long a cancelling call for its end."""

    queue_seconds: float
    cancel_seconds: float
