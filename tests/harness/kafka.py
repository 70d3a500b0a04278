"""Kafka for tests: librdkafka's mock cluster in this process, or Apache Kafka in one of its own.

The mock cluster speaks the real protocol on TCP. It keeps a few MB of each partition and forgets the rest, so
who reads it reads along.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer

from tests.fakes.scripted_provider.addresses import refusing_address
from tests.harness.proxy import TcpProxy

TOPIC = "events"


class MockBroker:
    """A cluster of one broker that lives as long as this object. `address` is host:port."""

    def __init__(self) -> None:
        self._cluster: Producer | None = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"

    def close(self) -> None:
        """What was in it is gone."""
        self._cluster = None


class Broker:
    """A broker behind a proxy that a test may cut. `name` says what it is."""

    def __init__(self, name: str, proxy: TcpProxy) -> None:
        self.name = name
        self._proxy = proxy

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._proxy.port}"

    async def cut(self) -> None:
        await self._proxy.cut()

    async def restore(self) -> None:
        await self._proxy.restore()


@asynccontextmanager
async def mock_broker(folder: Path) -> AsyncIterator[Broker]:
    """Only the first connection of a client is made through the proxy: the cluster tells its own address."""
    del folder
    cluster = MockBroker()
    host, _, port = cluster.address.partition(":")
    async with TcpProxy(host, int(port)) as proxy:
        yield Broker("librdkafka's mock cluster", proxy)
    cluster.close()


_SERVER = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}
offsets.topic.replication.factor=1
num.partitions=4
"""


@asynccontextmanager
async def apache_kafka(folder: Path) -> AsyncIterator[Broker]:
    """One node in KRaft mode, from the jars in KAFKA_JARS. Every connection goes through the proxy."""
    with refusing_address() as one, refusing_address() as two:
        port, controller = (int(address.rpartition(":")[2]) for address in (one, two))
    async with TcpProxy("127.0.0.1", port) as proxy:
        values = {"port": port, "controller": controller, "advertised": proxy.port, "folder": folder / "log"}
        (folder / "server.properties").write_text(_SERVER.format(**values))
        await _java(folder, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c")
        kafka = await _begun(folder, "kafka.Kafka")
        try:
            await _accepts(port)
            yield Broker("Apache Kafka", proxy)
        finally:
            kafka.kill()
            await kafka.wait()


async def _begun(folder: Path, *words: str) -> asyncio.subprocess.Process:
    jars = os.environ["KAFKA_JARS"]
    command = ("java", "-Xmx512m", "-cp", f"{jars}/*", *words, str(folder / "server.properties"))
    silent = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, stdout=silent, stderr=silent)


async def _java(folder: Path, *words: str) -> None:
    assert await (await _begun(folder, *words)).wait() == 0


async def _accepts(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)


BROKERS = [mock_broker, *([apache_kafka] if "KAFKA_JARS" in os.environ else [])]


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
    """Read a topic from its beginning, all the time; inside, it has begun."""
    received = Received()
    # Asked for once, the topic exists. The mock cluster answers who waits at the end of that time only.
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        metadata_max_age_ms=1000,
        fetch_max_wait_ms=10,
    )
    await consumer.start()
    async with asyncio.timeout(20):
        while True:
            if partitions := consumer.assignment():
                break
            await asyncio.sleep(0.02)
        for partition in partitions:
            await consumer.position(partition)
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
