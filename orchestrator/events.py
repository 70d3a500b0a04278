"""What a run writes into its log, beside what its agent emits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

from agents.events import AgentEvent
from agents.turn import TurnResult
from state.errors import OrchestratorError
from state.models import RunId, RunState
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
class RunCompleted:
    """The terminal event of a run that succeeded. `usage`: of all its attempts."""

    result: TurnResult
    usage: Usage = NOTHING_USED


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The terminal event of a run that did not. `partial`: what it had answered until then."""

    error: OrchestratorError
    partial: str = ""
    usage: Usage = NOTHING_USED


RunEvent = AgentEvent | StatusChanged | AttemptBegan | RunCompleted | RunFailed


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
