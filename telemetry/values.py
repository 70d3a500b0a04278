"""What telemetry is told, in values of its own: it knows no layer."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunBegin:
    """An attempt of a run. `traceparent`: of what asked for the run; `queued`: it was taken from the line."""

    run_id: str
    agent: str
    kind: str
    tries: int
    traceparent: str = ""
    queued: bool = False


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What a run has used of one model. `cost` in millionths."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    calls: int
    cost: int


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run has ended, and what it has used in all its attempts."""

    agent: str
    kind: str
    outcome: str
    reason: str
    shares: Sequence[ModelShare] = ()
