"""The events on their way out: to Kafka, where brokers are named, and to who follows them in a terminal."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Protocol

from config.events import EventSettings
from config.load import picked
from config.settings import Settings
from orchestrator.lifecycle import interruptible, until_stopped
from orchestrator.relay.cloud_events import message
from orchestrator.relay.kafka import KafkaOptions, KafkaPublisher, followed
from orchestrator.relay.relay import NoObserver, Relay, RelayObserver, RelayOptions
from state.errors import DatabaseUnavailableError
from state.outbox import Lag, Outbox
from state.postgres.outbox import OutboxReader
from state.postgres.stores import outbox_at
from wiring.deaths import Deaths


class EventSettingsError(Exception):
    """The settings of events cannot be used; the message says why."""


@asynccontextmanager
async def relayed(
    settings: Settings, outbox: Outbox, observer: RelayObserver | None = None
) -> AsyncIterator[Deaths]:
    """Pass events on inside the block, where the settings name brokers; what must not die meanwhile.

    Raises:
        EventSettingsError: The file of CAs cannot be read.
    """
    events = settings.events
    if not (events.brokers and events.relay):
        yield {}
        return
    publisher = KafkaPublisher(_kafka(events))
    async with Relay(outbox, publisher, picked(RelayOptions, events), observer or NoObserver()) as relay:
        yield {"the relay": relay.died}


class Readings(Protocol):
    """The database, where nobody here has measured."""

    async def oldest_event_seconds(self) -> float: ...


class NotedLag:
    """What waits for a broker, whoever relays: as the relay of this process has told it not long ago, else
    as the database says. So it is known too where that relay is a process of its own, or where there is none.
    """

    def __init__(self, readings: Readings, events: EventSettings) -> None:
        self._readings = readings
        self._awaited = bool(events.brokers)
        # For as long as three measurements take, and what they wait for.
        self._seconds = 3 * events.lag_seconds + 1
        self._noted: tuple[float, float] | None = None

    def relayed(self, events: int) -> None:
        """As `RelayObserver`."""

    def failed(self) -> None:
        """As `RelayObserver`."""

    def lags(self, lag: Lag) -> None:
        """As `RelayObserver`."""
        self._noted = monotonic(), lag.oldest_seconds

    async def lag_seconds(self) -> float | None:
        """As `EventLag`. None without a broker: then nothing waits for one."""
        if not self._awaited:
            return None
        if self._noted is None or monotonic() - self._noted[0] > self._seconds:
            return await self._readings.oldest_event_seconds()
        return self._noted[1]


def lag_of(settings: Settings, readings: Readings) -> NotedLag:
    """What waits for the brokers that the settings name."""
    return NotedLag(readings, settings.events)


async def relay_alone(settings: Settings, dsn: str, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Pass events on, and do nothing else, until told to stop."""
    if not settings.events.brokers:
        raise EventSettingsError(
            "there is nobody to pass events on to: ORCHESTRATOR_EVENTS__BROKERS is empty"
        )
    alone = settings.model_copy(update={"events": settings.events.model_copy(update={"relay": True})})
    async with (
        outbox_at(dsn, schema=settings.database.schema_name) as (outbox, _),
        relayed(alone, outbox) as deaths,
    ):
        say("relaying")
        await until_stopped(stop, deaths)


async def tail_topic(
    settings: Settings, stop: asyncio.Event, say: Callable[[str], None], *, everything: bool
) -> None:
    """Say each event that Kafka gets, a line of JSON, from now on or from the first that it keeps.

    Raises:
        StoppedError: It was told to stop; it does not end otherwise.
        BrokerError: The brokers cannot be reached, or refuse.
    """
    await _say_all(followed(_kafka(settings.events), from_beginning=everything), stop, say)


async def tail_outbox(
    settings: Settings, dsn: str, stop: asyncio.Event, say: Callable[[str], None], *, everything: bool
) -> None:
    """The same of what is in the outbox, where it stays.

    Raises:
        StoppedError: It was told to stop; it does not end otherwise.
    """
    async with outbox_at(dsn, schema=settings.database.schema_name) as (_, reader):
        await _say_all(_in_outbox(reader, settings.events, everything=everything), stop, say)


async def _say_all(lines: AsyncGenerator[bytes], stop: asyncio.Event, say: Callable[[str], None]) -> None:
    async with interruptible(stop), aclosing(lines):
        async for line in lines:
            say(line.decode())


async def _in_outbox(
    reader: OutboxReader, events: EventSettings, *, everything: bool
) -> AsyncGenerator[bytes]:
    if not everything:
        await reader.skip()
    while True:
        with suppress(DatabaseUnavailableError):
            while found := await reader.read(events.batch_size):
                for event in found:
                    yield message(event, events.source)[1]
        await asyncio.sleep(events.look_seconds)


def _kafka(events: EventSettings) -> KafkaOptions:
    password = events.sasl_password.get_secret_value() if events.sasl_password else ""
    return picked(KafkaOptions, events, ca=_text(events.ca_file), sasl_password=password)


def _text(file: Path | None) -> str:
    try:
        return file.read_text() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise EventSettingsError(f"ORCHESTRATOR_EVENTS__CA_FILE cannot be read: {file}") from error
