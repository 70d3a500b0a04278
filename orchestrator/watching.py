"""What watches this layer, as it wants it; telemetry implements it. Without anybody it costs nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agents.watching import ToolObserver
from orchestrator.unattended import Ended
from state.models import RunKind, RunOutcome, UnattendedRun
from state.usage import Usage
from telemetry.values import ModelShare, RunBegin, RunEnd

logger = logging.getLogger(__name__)

_EndT = TypeVar("_EndT", bound=Ended | None)


class RunWatch(Protocol):
    """One attempt of a run; the first of its ends counts, and `left` is the last."""

    @property
    def traceparent(self) -> str: ...
    def first_text(self) -> None: ...
    def ended(self, end: RunEnd) -> None: ...
    def put_back(self, how: str) -> None: ...
    def suspended(self) -> None: ...
    def lost(self) -> None: ...
    def left(self) -> None: ...


class RunObserver(Protocol):
    """Is told of every attempt here, and of every run that ends by this process."""

    def began(self, begin: RunBegin) -> RunWatch: ...
    def ended(self, end: RunEnd) -> object: ...
    def reaped(self, runs: int) -> None: ...


class LineObserver(Protocol):
    """Is told who joins the line and who is taken from it."""

    def joined(self, run_id: str, estimate_seconds: float | None) -> None: ...
    def taken(self, run_id: str, kind: str, waited_seconds: float) -> None: ...


class PermissionObserver(Protocol):
    """Is told of what people have decided, and of what nobody has."""

    def decided(self, decision: str, waited_seconds: float) -> None: ...


class EventLag(Protocol):
    """Who knows what has not been passed on yet."""

    async def lag_seconds(self) -> float | None:
        """The age of the oldest event that waits; 0 where there is none, None where it waits for nobody.

        Raises:
            DatabaseUnavailableError: Postgres is away.
        """
        ...


class Unwatched:
    """Nobody watches."""

    traceparent = ""

    def began(self, begin: RunBegin) -> "Unwatched":
        del begin
        return self

    def first_text(self) -> None: ...
    def ended(self, end: RunEnd) -> None: ...
    def put_back(self, how: str) -> None: ...
    def suspended(self) -> None: ...
    def lost(self) -> None: ...
    def left(self) -> None: ...
    def reaped(self, runs: int) -> None: ...
    def joined(self, run_id: str, estimate_seconds: float | None) -> None: ...
    def taken(self, run_id: str, kind: str, waited_seconds: float) -> None: ...
    def decided(self, decision: str, waited_seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Watching:
    """Who watches what."""

    runs: RunObserver = field(default_factory=Unwatched)
    line: LineObserver = field(default_factory=Unwatched)
    permissions: PermissionObserver = field(default_factory=Unwatched)
    tools: ToolObserver | None = None


def run_end(agent_name: str, kind: RunKind, outcome: RunOutcome, usage: Usage) -> RunEnd:
    """How a run has ended, as it is told."""
    shares = [
        ModelShare(
            part.provider,
            part.model,
            part.input_tokens,
            part.output_tokens,
            part.cached_input_tokens,
            part.reasoning_tokens,
            part.model_calls,
            part.cost_micros,
        )
        for part in usage.by_model
    ]
    return RunEnd(agent_name, kind, outcome.state, outcome.error_reason, shares)


@contextmanager
def counted_end(
    end: Callable[[UnattendedRun], _EndT], observer: RunObserver
) -> Iterator[Callable[[UnattendedRun], _EndT]]:
    """An `end` for a store, which tells of what it has ended once the block is left well: it is committed."""
    found: dict[str, RunEnd] = {}

    def noting(run: UnattendedRun) -> _EndT:
        ended = end(run)
        if ended is not None:
            found[run.run_id] = run_end(run.agent_name, run.kind, ended[0], run.usage)
        return ended

    yield noting
    for run_id, told in found.items():
        tell_end(run_id, told, observer)


def tell_end(run_id: str, end: RunEnd, observer: RunObserver) -> None:
    """Count the end of a run that nobody executed, and log it."""
    observer.ended(end)
    about = {"run_id": run_id, "kind": end.kind, "agent": end.agent}
    logger.info("run ended", extra={**about, "state": end.outcome, "reason": end.reason})
