"""Runs that processes have died of: executed by a process that has nothing else to lose."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from providers.gate.base import Unavailable
from providers.pool.admission import Admitted, Refusal
from state.models import ClaimedRun


class QuarantineStore(Protocol):
    """Implemented by `state.line_ports.LineStore`."""

    async def quarantined(self, patience_seconds: float, lease_seconds: float) -> Mapping[str, bool]: ...
    async def claim_quarantined(self, wants: str) -> ClaimedRun | None: ...


class Provider(Protocol):
    """What has room, or has not."""

    def admit(self, wants: str) -> Admitted | Refusal: ...


class Worker(Protocol):
    """What executes runs. `quarantined`: such a run is among them."""

    @property
    def active(self) -> int: ...
    @property
    def quarantined(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class QuarantineTimes:
    """In seconds: how long a run waits for an idle process, and how long a process is silent that lives."""

    quarantine_seconds: float
    lease_seconds: float


class Quarantine:
    """Takes such runs when this process is idle, and makes it idle when one has waited for too long."""

    def __init__(
        self,
        store: QuarantineStore,
        provider: Provider,
        worker: Worker,
        take_up: Callable[[ClaimedRun, Admitted], Awaitable[None]],
        times: QuarantineTimes,
    ) -> None:
        self._store = store
        self._provider = provider
        self._worker = worker
        self._take_up = take_up
        self._times = times
        self._makes_room = False

    @property
    def closed(self) -> bool:
        """Whether this process begins nothing else."""
        return self._makes_room or self._worker.quarantined

    def nobody_waits(self) -> None:
        """Make no room: no run is in line."""
        self._makes_room = False

    async def look(self) -> None:
        """Take one if this process may, or decide whether it makes room for one.

        Raises:
            DatabaseUnavailableError: Postgres is away. Room is made no longer.
        """
        makes_room = False
        try:
            makes_room = not self._worker.quarantined and await self._look()
        finally:
            self._makes_room = makes_room

    async def _look(self) -> bool:
        times, makes_room = self._times, False
        waiting = await self._store.quarantined(times.quarantine_seconds, times.lease_seconds)
        for wants, too_long in waiting.items():
            verdict = self._provider.admit(wants)
            if isinstance(verdict, Admitted):
                if not self._worker.active:
                    await self._take(wants, verdict)
                    return False
                verdict.abandon()
            # What is saturated may be so by what is executed here.
            makes_room = makes_room or (too_long and not isinstance(verdict, Unavailable))
        return makes_room

    async def _take(self, wants: str, admitted: Admitted) -> None:
        self._makes_room = True  # nothing else begins meanwhile
        claimed = None
        try:
            claimed = await self._store.claim_quarantined(wants)
        finally:
            if claimed is None:
                admitted.abandon()
        if claimed is not None:
            await self._take_up(claimed, admitted)
