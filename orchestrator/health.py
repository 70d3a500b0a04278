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


class Journal(Protocol):
    """Where tasks are accepted while the database is away."""

    @property
    def count(self) -> int: ...


class Worker(Protocol):
    """What executes runs."""

    @property
    def draining(self) -> bool: ...

    @property
    def active(self) -> int: ...


class HealthService:
    """Answers from probes at most `fresh_seconds` old, each given `probe_seconds`. Never calls a model.

    With a `journal` a database that is away degrades the service and is no reason to send nobody here.
    """

    def __init__(
        self,
        database: Probe,
        provider: Probe,
        worker: Worker,
        journal: Journal | None = None,
        *,
        fresh_seconds: float = 1.0,
        probe_seconds: float = 2.0,
    ) -> None:
        self._worker = worker
        self._journal = journal
        self._started = monotonic()
        self._database_works = _Answer(database, fresh_seconds, probe_seconds)
        self._provider_works = _Answer(provider, fresh_seconds, probe_seconds)

    async def check(self) -> Health:
        """The state of the service now."""
        database, provider = await asyncio.gather(self._database_works.now(), self._provider_works.now())
        draining, spooled = self._worker.draining, self._journal.count if self._journal else 0
        details = {
            "database": "ok" if database else "unreachable",
            "provider": "ok" if provider else "unreachable",
            "worker": "draining" if draining else "ok",
            "active_runs": str(self._worker.active),
        }
        if self._journal:
            details["tasks_in_journal"] = str(spooled)
        ready = (database or self._journal is not None) and not draining
        return Health(
            status=_status(ready=ready, whole=database and provider and not spooled),
            details=details,
            draining=draining,
            uptime_seconds=monotonic() - self._started,
        )

    async def ready(self) -> bool:
        """Whether new calls should be sent here. The provider is not asked: it is no part of it."""
        return not self._worker.draining and (self._journal is not None or await self._database_works.now())


class _Answer:
    """Whether one part works, asked at most once in `fresh_seconds`."""

    def __init__(self, part: Probe, fresh_seconds: float, probe_seconds: float) -> None:
        self._part = part
        self._fresh_seconds = fresh_seconds
        self._probe_seconds = probe_seconds
        self._works = False
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def now(self) -> bool:
        async with self._asking:
            if self._asked_at is None or monotonic() - self._asked_at >= self._fresh_seconds:
                self._works = await self._ask()
                self._asked_at = monotonic()
            return self._works

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(self._probe_seconds):
                await self._part.probe()
        except (OrchestratorError, TimeoutError):
            return False
        return True


def _status(*, ready: bool, whole: bool) -> Status:
    if not ready:
        return Status.UNHEALTHY
    return Status.HEALTHY if whole else Status.DEGRADED
