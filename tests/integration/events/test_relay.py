"""The relay: what it deletes and when, and what it does while the broker does not answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from orchestrator.lifecycle import PartDiedError, until_stopped
from orchestrator.relay.kafka import KafkaOptions, KafkaPublisher
from orchestrator.relay.relay import BrokerError, Publisher, Relay, RelayOptions
from state.outbox import Lag, Outbox
from state.postgres.database import Database
from state.postgres.outbox import PostgresOutbox
from tests.harness.events import fill, waiting
from tests.harness.kafka import TOPIC, MockBroker, receiving
from tests.harness.proxy import TcpProxy

OPTIONS = RelayOptions(source="here", batch_size=10, look_seconds=0.01, lag_seconds=0.05)


@dataclass
class Watched:
    """An observer that may be waited for."""

    events: int = 0
    failures: int = 0
    measured: int = 0
    lag: Lag = field(default_factory=lambda: Lag(0, 0.0))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def relayed(self, events: int) -> None:
        self.events += events
        self._changed.set()

    def lags(self, lag: Lag) -> None:
        self.lag = lag
        self.measured += 1
        self._changed.set()

    def failed(self) -> None:
        self.failures += 1
        self._changed.set()

    async def until(self, **least: int) -> None:
        async with asyncio.timeout(20):
            while any(getattr(self, name) < value for name, value in least.items()):
                self._changed.clear()
                await self._changed.wait()

    async def lagging(self, events: int) -> None:
        async with asyncio.timeout(20):
            while self.lag.events != events:
                self._changed.clear()
                await self._changed.wait()


class SlowBroker:
    """A broker of a test's own: acknowledges once `answers` is set, and first refuses `refuses` times."""

    def __init__(self, *, refuses: int = 0) -> None:
        self.refuses = refuses
        self.answers = asyncio.Event()
        self.asked = asyncio.Event()
        self.taken: list[bytes] = []
        self.calls = 0

    async def publish(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        self.calls += 1
        self.asked.set()
        if self.refuses:
            self.refuses -= 1
            raise BrokerError("refused")
        await self.answers.wait()
        self.taken += [value for _, value in messages]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def relay(
    outbox: Outbox, publisher: Publisher, options: RelayOptions = OPTIONS
) -> AsyncIterator[tuple[Relay, Watched]]:
    observer = Watched()
    async with Relay(outbox, publisher, options, observer) as running:
        yield running, observer


async def test_events_stay_until_the_broker_has_acknowledged_them(dsn: str, database: Database) -> None:
    await fill(dsn, 25, 5)
    broker = SlowBroker()
    async with relay(PostgresOutbox(database), broker) as (_, observer):
        await broker.asked.wait()
        await observer.lagging(25)
        assert await waiting(dsn) == 25
        broker.answers.set()
        await observer.until(events=25)
    assert await waiting(dsn) == 0
    assert len(set(broker.taken)) == len(broker.taken) == 25


async def test_a_broker_that_refuses_is_asked_again_for_ever_and_told_of(
    dsn: str, database: Database
) -> None:
    await fill(dsn, 15, 5)
    broker = SlowBroker(refuses=7)
    broker.answers.set()
    async with relay(PostgresOutbox(database), broker) as (_, observer):
        await observer.until(failures=7, events=15)
    assert broker.calls == 9
    assert await waiting(dsn) == 0


async def test_of_two_relays_one_sends_and_the_other_takes_over(
    dsn: str, database: Database, broker: MockBroker
) -> None:
    await fill(dsn, 200, 7)
    publishers = [KafkaPublisher(KafkaOptions(broker.address, TOPIC)) for _ in range(2)]
    async with receiving(broker.address) as received:
        async with relay(PostgresOutbox(database), publishers[1]) as (_, second):
            first_outbox = PostgresOutbox(database)
            async with relay(first_outbox, publishers[0]) as (_, first):
                await received.until(200)
                assert 0 in (first.events, second.events)
            await first_outbox._connection.close(1.0)
            await fill(dsn, 100, 7)
            await received.until(300)
        assert received.repeats == 0
        assert all(received.first_ones(key) == sorted(received.first_ones(key)) for key in received.by_key)


async def test_a_process_that_was_stopped_while_another_took_over_sends_nothing_more(
    dsn: str, database: Database
) -> None:
    """Its turn has gone to somebody else while the broker kept it waiting."""
    await fill(dsn, 5, 1)
    stopped, other = SlowBroker(), SlowBroker()
    other.answers.set()
    outbox = PostgresOutbox(database)
    async with relay(outbox, stopped) as (_, observer):
        await stopped.asked.wait()
        await _end_sessions(database)
        async with relay(PostgresOutbox(database), other) as (_, second):
            await second.until(events=5)
            await observer.until(failures=1)
    assert stopped.taken == []


async def _end_sessions(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )


async def test_while_the_broker_is_cut_off_events_wait_and_none_is_lost(
    dsn: str, database: Database, broker: MockBroker
) -> None:
    host, _, port = broker.address.partition(":")
    async with TcpProxy(host, int(port)) as proxy, receiving(broker.address) as received:
        await proxy.cut()
        options = KafkaOptions(f"127.0.0.1:{proxy.port}", TOPIC)
        await fill(dsn, 100, 5)
        async with relay(PostgresOutbox(database), KafkaPublisher(options)) as (_, observer):
            await observer.until(failures=2)
            await observer.lagging(100)
            assert not received.ids
            await proxy.restore()
            await received.until(100)
        assert received.repeats == 0
    assert await waiting(dsn) == 0


async def test_the_messages_are_structured_cloud_events(
    dsn: str, database: Database, broker: MockBroker
) -> None:
    await fill(dsn, 3, 3)
    publisher = KafkaPublisher(KafkaOptions(broker.address, TOPIC))
    async with receiving(broker.address) as received, relay(PostgresOutbox(database), publisher):
        await received.until(3)
    assert received.headers == [{"content-type": b"application/cloudevents+json; charset=UTF-8"}] * 3
    assert {event["data"]["run_id"] for event in received.events} == set(received.by_key)


async def test_a_broker_that_went_silent_does_not_keep_the_process_from_stopping(
    dsn: str, database: Database
) -> None:
    """It had taken events, then vanished with its state: aiokafka alone would wait for it for ever."""
    broker = MockBroker()
    publisher = KafkaPublisher(KafkaOptions(broker.address, TOPIC))
    async with asyncio.timeout(30):
        async with relay(PostgresOutbox(database), publisher) as (_, observer):
            await fill(dsn, 10, 2)
            await observer.until(events=10)
            broker.close()
            await fill(dsn, 10, 2)
            await observer.lagging(10)
            await observer.until(measured=observer.measured + 1)  # while it waits for the broker
    assert await waiting(dsn) == 10


class BrokenOutbox:
    """Fails in a way that nobody has thought of."""

    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError(name)


async def test_the_death_of_the_relay_is_noticed() -> None:
    async with relay(BrokenOutbox(), SlowBroker()) as (running, _):  # type: ignore[arg-type]
        deaths: Mapping[str, object] = {"the relay": running.died}
        with pytest.raises(PartDiedError, match="the relay has ended"):
            await asyncio.wait_for(until_stopped(asyncio.Event(), deaths), 5)  # type: ignore[arg-type]
