"""What nobody needs any more is deleted: old checkpoints first, then logs, then the runs themselves."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from state.background import BackgroundTask
from state.errors import OrchestratorError
from state.models import Deleted, Extent

logger = logging.getLogger(__name__)

_KEY_SECONDS = 24 * 3600.0
"""A request's key means nothing after that: see the contract."""


class RetentionStore(Protocol):
    """Deletes what is past its time, one bounded batch a call; ages in seconds, by the database's clock.

    None = another process is at it. Every method raises DatabaseUnavailableError when Postgres fails.
    """

    async def prune_checkpoints(self, idle_seconds: float) -> Deleted | None:
        """All but the newest checkpoint of conversations whose last run ended so long ago."""
        ...

    async def prune_events(self, seconds: float) -> Deleted | None:
        """All but the terminal record of the logs of runs that ended so long ago."""
        ...

    async def delete_runs(self, seconds: float) -> Deleted | None:
        """Runs that ended so long ago, once both of the above are done with them."""
        ...

    async def delete_request_keys(self, seconds: float) -> Deleted | None:
        """What requests of so long ago have begun."""
        ...

    async def delete_outbox(self, seconds: float) -> Deleted | None:
        """Events of so long ago that nobody has fetched."""
        ...

    async def delete_usage(self, seconds: float) -> Deleted | None:
        """What runs used that began so long ago."""
        ...


@dataclass(frozen=True, slots=True)
class RetentionTimes:
    """In seconds, by the database's clock: how often to look, and how long what has ended is kept.

    `outbox_seconds`: None where a relay passes events on, which deletes what a broker has and nothing else.
    """

    interval_seconds: float
    checkpoints_idle_seconds: float
    events_seconds: float
    runs_seconds: float
    usage_seconds: float
    outbox_seconds: float | None = 7 * 86400.0


class Retention(BackgroundTask):
    """Runs one task inside its context.

    Any number of processes may do so: whoever finds another one at work leaves the pass to it. A pass that
    failed is tried again after `retry_seconds`, or after an interval that is shorter.
    """

    def __init__(self, store: RetentionStore, times: RetentionTimes, *, retry_seconds: float = 60.0) -> None:
        super().__init__("retention")
        self._store = store
        self._times = times
        self._retry_seconds = min(retry_seconds, times.interval_seconds)

    async def _run(self) -> None:
        while True:
            seconds = self._times.interval_seconds
            try:
                await self.delete_old()
            except OrchestratorError as error:
                logger.warning("retention failed", extra={"reason": error.reason}, exc_info=error)
                seconds = self._retry_seconds
            await asyncio.sleep(seconds)

    async def delete_old(self) -> None:
        """One pass over everything that is past its time.

        Raises:
            DatabaseUnavailableError: The rest is left to the next pass.
        """
        total: defaultdict[str, Extent] = defaultdict(Extent)
        steps: tuple[tuple[Callable[[float], Awaitable[Deleted | None]], float | None], ...] = (
            (self._store.prune_checkpoints, self._times.checkpoints_idle_seconds),
            (self._store.prune_events, self._times.events_seconds),
            (self._store.delete_runs, self._times.runs_seconds),
            (self._store.delete_request_keys, _KEY_SECONDS),
            (self._store.delete_outbox, self._times.outbox_seconds),
            (self._store.delete_usage, self._times.usage_seconds),
        )
        try:
            for step, age in steps:
                while age is not None and (batch := await step(age)):
                    for table, extent in batch.tables.items():
                        total[table] += extent
                    if not batch.more:
                        break
        finally:
            logger.info("retention", extra={"deleted": {t: asdict(e) for t, e in total.items()}})
