"""Whether the service can do its work, asked of what it stands on."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Protocol

from state.errors import OrchestratorError


class Status(StrEnum):
    """`degraded`: calls are accepted, and some will fail or wait."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """The service's state and that of each part it was asked of."""

    status: Status
    details: Mapping[str, str]
    draining: bool
    uptime_seconds: float


class Probe(Protocol):
    """Something that can be asked whether it works."""

    async def probe(self) -> None:
        """Return when it does; raises OrchestratorError when it does not."""
        ...


class Worker(Protocol):
    """What executes runs."""

    @property
    def draining(self) -> bool: ...

    @property
    def active(self) -> int: ...


class HealthService:
    """Answers from probes at most `fresh_seconds` old, each given `probe_seconds`. Never calls a model."""

    def __init__(
        self,
        database: Probe,
        provider: Probe,
        worker: Worker,
        *,
        fresh_seconds: float = 1.0,
        probe_seconds: float = 2.0,
    ) -> None:
        self._database = database
        self._provider = provider
        self._worker = worker
        self._fresh_seconds = fresh_seconds
        self._probe_seconds = probe_seconds
        self._started = monotonic()
        self._asked: tuple[float, bool, bool] | None = None
        self._asking = asyncio.Lock()

    async def check(self) -> Health:
        """The state of the service now."""
        database, provider = await self._ask()
        draining = self._worker.draining
        details = {
            "database": "ok" if database else "unreachable",
            "provider": "ok" if provider else "unreachable",
            "worker": "draining" if draining else "ok",
            "active_runs": str(self._worker.active),
        }
        return Health(
            status=_status(ready=database and not draining, provider=provider),
            details=details,
            draining=draining,
            uptime_seconds=monotonic() - self._started,
        )

    async def ready(self) -> bool:
        """Whether new calls should be sent here. A provider's state is no part of it."""
        database, _ = await self._ask()
        return database and not self._worker.draining

    async def _ask(self) -> tuple[bool, bool]:
        async with self._asking:
            if self._asked is None or monotonic() - self._asked[0] >= self._fresh_seconds:
                database, provider = await asyncio.gather(
                    self._works(self._database), self._works(self._provider)
                )
                self._asked = (monotonic(), database, provider)
            return self._asked[1], self._asked[2]

    async def _works(self, part: Probe) -> bool:
        try:
            async with asyncio.timeout(self._probe_seconds):
                await part.probe()
        except (OrchestratorError, TimeoutError):
            return False
        return True


def _status(*, ready: bool, provider: bool) -> Status:
    if not ready:
        return Status.UNHEALTHY
    return Status.HEALTHY if provider else Status.DEGRADED
