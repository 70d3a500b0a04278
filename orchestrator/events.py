"""What a run writes into its log, beside what its agent emits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from agents.events import AgentEvent
from agents.turn import TurnResult
from state.errors import OrchestratorError
from state.models import RunId, RunState


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Where the run stands, in words for a person."""

    state: RunState
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The terminal event of a run that succeeded."""

    result: TurnResult


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The terminal event of a run that did not. `partial`: what it had answered until then."""

    error: OrchestratorError
    partial: str = ""


RunEvent = AgentEvent | StatusChanged | RunCompleted | RunFailed


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """What every chunk of a run carries."""

    run_id: RunId
    agent_name: str
    sequence: int
    time: datetime


class ChunkEncoder(Protocol):
    """Turns an event into the bytes of a chunk."""

    def __call__(self, event: RunEvent, header: ChunkHeader) -> bytes: ...
