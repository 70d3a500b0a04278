"""Domain values shared by every layer above."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal, NewType

from state.usage import NOTHING_USED, Usage

Owner = NewType("Owner", str)
"""The user a row belongs to. Every query carries one."""

RunId = NewType("RunId", str)
ReplicaId = NewType("ReplicaId", str)
"""One running process."""

ConversationId = NewType("ConversationId", str)
ThreadId = NewType("ThreadId", str)
"""LangGraph's name for a conversation; see `state.threads`."""

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message. `mime_type` as `image/png`."""

    mime_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to use a tool. `call_id` is the provider's own; `arguments` is JSON as it wrote it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Only a user's message has `images`, only an assistant's `tool_calls`; a tool's message answers the call
    `tool_call_id`.
    """

    role: Role
    content: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class RunKind(StrEnum):
    """What began a run."""

    CHAT = "chat"
    TASK = "task"


class RunState(StrEnum):
    """Where a run stands; the last four never change."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_FOR_PERMISSION = "waiting_for_permission"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.EXPIRED)


class FinishReason(StrEnum):
    """Why a model, or a run, stopped writing. Only a model stops for `TOOL_CALLS`, only a run for `LIMIT`."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    LIMIT = "limit"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to write for a run: every write of a run carries it.

    `thread_head`: where the conversation's thread stood when the run began; None when whoever reads it now
    reads it after that. `create_time`: of a run that was created with this attempt, else None.
    """

    owner: Owner
    run_id: RunId
    number: int
    thread_head: int | None = field(default=None, compare=False)
    create_time: datetime | None = field(default=None, compare=False)


@dataclass(slots=True)  # made for every chunk: a frozen one takes five times as long to make
class Record:
    """One entry of a run's log.

    `payload` is the encoded chunk, opaque to the store. `sequence` counts 1, 2, 3... per run without a gap.
    """

    sequence: int
    payload: bytes
    terminal: bool = False


class Priority(IntEnum):
    """How much a task presses; a chat is `NORMAL`."""

    LOW = 1
    NORMAL = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a caller's request once and for all one: its id, and a digest of what it asks for."""

    method: str
    request_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """Why a run's agent answers, and in which form: the `version` of its file, and a `variant` of that."""

    version: str = ""
    variant: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run about to be written down.

    `request` is the accepted request, encoded, opaque to the store. `survives`: it goes back to the line when
    its replica dies. `wants` is what a permit must serve: see `providers`. `wait_seconds`: how long it waits
    for its first model call at most; None = for ever. `not_before`: when it may begin at the earliest.
    `lead_seconds` as in `Joining`, should it begin at once and go back to the line. `retry_of`: what it does
    again, `from_start` or from where that one has left its turn. `traceparent`: of who asked for it.
    """

    run_id: RunId
    owner: Owner
    kind: RunKind
    conversation_id: ConversationId
    agent_name: str
    request: bytes
    survives: bool = False
    wants: str = ""
    wait_seconds: float | None = None
    priority: Priority = Priority.NORMAL
    lead_seconds: float = 0.0
    not_before: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    retry_of: RunId | None = None
    from_start: bool = False
    key: RequestKey | None = None
    route: Route = Route()
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Joining:
    """How a run joins the line.

    `spacing_seconds`: how far it stands behind the user's run before it, of the same priority.
    `lead_seconds`: by how much its priority puts it forward. `high` and `low`: with `high` runs queued or
    running nobody may join any more, until there are fewer than `low`.
    """

    spacing_seconds: float
    high: int
    low: int
    lead_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UnattendedRun:
    """A run that nobody executes: in line, or lost by its replica. `usage`: of its attempts so far."""

    run_id: RunId
    owner: Owner
    kind: RunKind
    agent_name: str
    conversation_id: ConversationId
    state: RunState
    survives: bool
    last_sequence: int
    wants: str = ""
    losses: int = 0
    usage: Usage = NOTHING_USED


LOSSES_BEFORE_QUARANTINE = 2
"""So many processes may die of a run before it is executed alone."""


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run taken from the line, and the right to write for it.

    `tries`: the attempts that count, this one among them. `losses`: how many processes died that executed it.
    `usage` and `running_seconds` are what its earlier attempts took. `goes_on_from`: the run whose unfinished
    turn it takes over. `waited_seconds`: since it could have been taken first. `traceparent` as in `NewRun`.
    `unreadable`: why there is no `request`, where its bytes cannot be opened.
    """

    attempt: Attempt
    kind: RunKind
    agent_name: str
    conversation_id: ConversationId
    request: bytes
    last_sequence: int
    wants: str = ""
    survives: bool = True
    tries: int = 1
    deferrals: int = 0
    losses: int = 0
    usage: Usage = NOTHING_USED
    running_seconds: float = 0.0
    goes_on_from: RunId | None = None
    route: Route = Route()
    waited_seconds: float = 0.0
    traceparent: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `error_reason` is set unless it succeeded."""

    state: RunState
    finish_reason: FinishReason | None = None
    error_reason: str = ""
    result: str = ""
    usage: Usage = NOTHING_USED


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored."""

    run_id: RunId
    owner: Owner
    kind: RunKind
    conversation_id: ConversationId
    agent_name: str
    state: RunState
    attempt: int
    last_sequence: int
    error_reason: str
    create_time: datetime
    wants: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one batch of retention deleted, and whether it found all that it may take."""

    tables: Mapping[str, "Extent"]
    more: bool


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a table: `bytes` as stored, compressed, of the values alone."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        return Extent(self.rows + other.rows, self.bytes + other.bytes)
