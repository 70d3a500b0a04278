"""What a run writes into its log, beside what its agent emits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

from agents.events import AgentEvent
from agents.turn import TurnResult
from state.errors import OrchestratorError
from state.models import ConversationId, RunId, RunState
from state.permissions import Permission, Question
from state.usage import NOTHING_USED, Usage


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Where the run stands, in words for a person."""

    state: RunState
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptBegan:
    """A new attempt repeats a model call: what was shown from `from_sequence` on does not count."""

    attempt: int
    from_sequence: int


@dataclass(frozen=True, slots=True)
class AgentChosen:
    """Who answers, in which version of its file, and why it does."""

    agent_name: str
    agent_version: str
    routing_reason: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The terminal event of a run that succeeded. `usage`: of all its attempts; `about` says who answered."""

    result: TurnResult
    usage: Usage = NOTHING_USED
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The terminal event of a run that did not. `partial`: what it had answered; `about` as above."""

    error: OrchestratorError
    partial: str = ""
    usage: Usage = NOTHING_USED
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PermissionAsked:
    """The run stops for a person, who has so many seconds from now on."""

    question: Question
    conversation_id: ConversationId
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class PermissionResolved:
    """What the run has asked is decided, or is to be asked no more."""

    permission: Permission


RunEvent = (
    AgentEvent
    | AgentChosen
    | StatusChanged
    | AttemptBegan
    | PermissionAsked
    | PermissionResolved
    | RunCompleted
    | RunFailed
)


@dataclass(frozen=True, slots=True)
class LeftOff:
    """How far a log without an end has come.

    `unfinished` is the sequence of the first text of a message without an end; None when there is none.
    `texts` counts the messages that have one. `introduced`: it says who answers.
    """

    unfinished: int | None = None
    texts: int = 0
    introduced: bool = False


@dataclass(slots=True)  # made for every chunk: a frozen one takes five times as long to make
class ChunkHeader:
    """What every chunk of a run carries."""

    run_id: RunId
    agent_name: str
    sequence: int
    time: datetime

    @classmethod
    def now(cls, run_id: RunId, agent_name: str, sequence: int) -> Self:
        """The header of a chunk that is made now."""
        return cls(run_id, agent_name, sequence, datetime.now(UTC))


class ChunkEncoder(Protocol):
    """Turns an event into the bytes of a chunk."""

    def __call__(self, event: RunEvent, header: ChunkHeader) -> bytes: ...
