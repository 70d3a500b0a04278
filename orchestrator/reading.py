"""A run's log as somebody follows it who also wants to know where it stands in line."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from orchestrator.line import Line
from orchestrator.places import Place
from state.errors import DrainingError
from state.event_log import EventLog
from state.models import Owner, Record, RunId

_LOOK_SECONDS = 1.0
"""How often somebody in line is told where it stands."""


@dataclass(frozen=True, slots=True)
class BecameTask:
    """The run goes on as a task that nobody needs to wait for."""

    run_id: RunId


Reading = AsyncGenerator[Record | Place | BecameTask | None]
"""A run's log; where it stands while it is in line; None when a heartbeat is due."""


class Readable(Protocol):
    """What has to be known of a run."""

    @property
    def owner(self) -> Owner: ...
    @property
    def run_id(self) -> RunId: ...
    @property
    def wants(self) -> str: ...


class RunReader:
    """Reads for callers, each at a pace of its own."""

    def __init__(self, log: EventLog, line: Line) -> None:
        self._log = log
        self._line = line

    def read(self, run: Readable, after: int = 0, *, idle_seconds: float, ended: bool = False) -> Reading:
        """The log after a sequence, to its end; while the run is in line, its place when that has changed.

        Called while this process executes the run, it learns of the run's failure whenever that comes.

        Raises:
            As `EventLog.read`.
            DrainingError: The run is in line, and this process stops.
        """
        look = min(idle_seconds, _LOOK_SECONDS)
        records = self._log.read(run.owner, run.run_id, after, idle_seconds=look, ended=ended)
        return self._read(run, records, idle_seconds)

    async def _read(self, run: Readable, log: AsyncGenerator[Record | None], idle_seconds: float) -> Reading:
        places, shown, beat = self._line.places, 0, monotonic() + idle_seconds
        async with aclosing(log) as records:
            with places.watching(run.run_id, run.wants):
                async for record in records:
                    place = None if record is not None else places.place(run.run_id)
                    if place is not None and self._line.draining:
                        raise DrainingError("the server is stopping")
                    if place is not None and place.position != shown:
                        shown = place.position
                        yield place
                    elif record is not None or monotonic() >= beat:
                        yield record
                    else:
                        continue
                    beat = monotonic() + idle_seconds
