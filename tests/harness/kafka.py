"""Kafka for tests: librdkafka's mock cluster in this process, which speaks the real protocol on TCP.

It keeps a few MB of each partition and forgets the rest, so who reads it reads along.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

TOPIC = "events"


class MockBroker:
    """A cluster of one broker that lives as long as this object. `address` is host:port."""

    def __init__(self) -> None:
        self._cluster: Producer | None = Producer(
            {"test.mock.num.brokers": 1, "log_level": 0}
        )
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"

    def close(self) -> None:
        """What was in it is gone."""
        self._cluster = None


@dataclass
class Received:
    """What a topic has held: for each key its events in order, repeats among them."""

    by_key: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, bytes]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, record: Any) -> None:
        event = orjson.loads(record.value)
        self.by_key[record.key.decode()].append(event)
        self.raw.append(record.value)
        self.headers.append(dict(record.headers))
        self.ids.add(event["id"])
        self._changed.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for events in self.by_key.values() for event in events]

    @property
    def types(self) -> set[str]:
        return {event["type"] for event in self.events}

    @property
    def repeats(self) -> int:
        return len(self.raw) - len(self.ids)

    def first_ones(self, key: str) -> list[int]:
        """The sequences of a key, each as it came first."""
        return list(dict.fromkeys(int(event["sequence"]) for event in self.by_key[key]))

    async def until(self, ids: int, *, within: float = 20.0) -> None:
        """Wait until so many different events have come."""
        async with asyncio.timeout(within):
            while len(self.ids) < ids:
                self._changed.clear()
                await self._changed.wait()

    async def has(self, *types: str, within: float = 20.0) -> None:
        """Wait until events of all these types have come."""
        async with asyncio.timeout(within):
            while not self.types.issuperset(types):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def receiving(address: str, topic: str = TOPIC) -> AsyncIterator[Received]:
    """Read a topic from its beginning, all the time."""
    received = Received()
    # Asked for once, the topic exists.
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", metadata_max_age_ms=1000
    )
    await consumer.start()
    reading = asyncio.create_task(_read(consumer, received), name="kafka-reader")
    try:
        yield received
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, received: Received) -> None:
    async for record in consumer:
        received.add(record)
