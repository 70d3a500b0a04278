"""The relay: takes events from the outbox, gives them to a broker, and deletes those that the broker has.

One process at a time has its turn, in the database. A batch is deleted when all of it was acknowledged: a
process that is killed between the two makes one batch come twice, and nothing else does. Nothing is given up.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ldexp
from time import monotonic
from typing import Protocol

from orchestrator.relay.cloud_events import message
from state.background import BackgroundTask
from state.errors import OrchestratorError
from state.outbox import Lag, Outbox, OutboxEvent

logger = logging.getLogger(__name__)

_KEEP_SECONDS = 3.0
"""Far less than the outbox lets who has the turn be silent."""
_MOST_PAUSE_SECONDS = 5.0
_MOST_REST_SECONDS = 0.1


class BrokerError(Exception):
    """The broker did not take everything; `str` says what, without addresses or secrets."""


class Publisher(Protocol):
    """A broker. What was not acknowledged may have arrived nevertheless."""

    async def publish(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Return when keys and values were all acknowledged, those of a key in order; wait for that for ever.

        Raises:
            BrokerError: It cannot be reached, or refuses.
        """
        ...

    async def close(self) -> None:
        """Leave the broker, whatever is still under way; `publish` connects anew."""
        ...


class RelayObserver(Protocol):
    """Is told how the relay of this process does. All of it is quick and raises nothing."""

    def relayed(self, events: int) -> None:
        """The broker has so many more."""
        ...

    def lags(self, lag: Lag) -> None:
        """How much waits. Told by the process that has the turn, again and again."""
        ...

    def failed(self) -> None:
        """The broker did not take a batch; it is tried again."""
        ...


class NoObserver:
    """Implements `RelayObserver` for who does not want to know."""

    def relayed(self, events: int) -> None:
        del events

    def lags(self, lag: Lag) -> None:
        del lag

    def failed(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """`batch_size` events go at once; looks for new ones every `look_seconds`, measures every `lag_seconds`.

    `source` says in every event where it comes from.
    """

    source: str
    batch_size: int
    look_seconds: float
    lag_seconds: float


class Relay(BackgroundTask):
    """Runs one task inside its context. Any number of processes may: one of them has its turn."""

    def __init__(
        self, outbox: Outbox, publisher: Publisher, options: RelayOptions, observer: RelayObserver
    ) -> None:
        super().__init__("relay")
        self._outbox = outbox
        self._publisher = publisher
        self._options = options
        self._observer = observer
        self._failures = 0
        self._measured = -options.lag_seconds

    async def _run(self) -> None:
        try:
            while True:
                pause, began = self._options.look_seconds, monotonic()
                try:
                    if await self._relay():
                        # Callers share the process: a backlog gets half of its time.
                        pause = min(_MOST_REST_SECONDS, monotonic() - began)
                except BrokerError as error:
                    pause = await self._failed(error)
                except OrchestratorError as error:
                    logger.warning("step failed", extra={"step": self.name, "reason": error.reason})
                await asyncio.sleep(pause)
        finally:
            await self._publisher.close()

    async def _relay(self) -> bool:
        """Pass on a batch; whether there may be more."""
        events = await self._outbox.next(self._options.batch_size)
        if events is None:
            await self._publisher.close()  # whoever has the turn now is to be the only one
            return False
        await self._measure()
        if not events:
            return False
        await self._publish(events)
        await _to_its_end(self._outbox.forget(events))
        if self._failures:
            logger.info("the broker takes events again", extra={"failures": self._failures})
            self._failures = 0
        self._observer.relayed(len(events))
        return len(events) == self._options.batch_size

    async def _publish(self, events: Sequence[OutboxEvent]) -> None:
        """Keep the turn for as long as the broker takes. A broker that is away is waited for in here."""
        messages = [message(event, self._options.source) for event in events]
        publishing = asyncio.create_task(self._publisher.publish(messages), name="publish")
        try:
            while not (await asyncio.wait({publishing}, timeout=_KEEP_SECONDS))[0]:
                await self._stay()
            publishing.result()
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _stay(self) -> None:
        """Raises BrokerError when another process relays by now: what is under way here is to be dropped."""
        with suppress(OrchestratorError):  # a database that is away gives the turn to nobody
            mine = await self._outbox.keep_turn()
            if not mine:
                raise BrokerError("another process has taken over")
            await self._measure()

    async def _measure(self) -> None:
        if monotonic() - self._measured >= self._options.lag_seconds:
            self._measured = monotonic()
            self._observer.lags(await self._outbox.lag())

    async def _failed(self, error: BrokerError) -> float:
        """Say so once, and how long to wait, seconds."""
        await self._publisher.close()
        self._observer.failed()
        if not self._failures:
            logger.warning("the broker does not take events, they wait", extra={"cause": str(error)})
        self._failures += 1
        return min(_MOST_PAUSE_SECONDS, ldexp(self._options.look_seconds, min(self._failures, 10)))


async def _to_its_end(deletion: Coroutine[None, None, None]) -> None:
    """Also when the process is told to stop meanwhile: else a batch that has arrived would come again."""
    task = asyncio.create_task(deletion, name="forget")
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})
