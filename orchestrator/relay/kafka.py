"""Events to and from Kafka. The only module that knows aiokafka."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from orchestrator.relay.cloud_events import CONTENT_TYPE
from orchestrator.relay.relay import BrokerError

_HEADERS = [("content-type", CONTENT_TYPE.encode())]
_MOST_BATCH_BYTES = 512 << 10
_AT_ONCE = 25
"""Messages that are handed over before others get a turn in this process."""
_PROTOCOLS = {
    (False, False): "PLAINTEXT",
    (False, True): "SSL",
    (True, False): "SASL_PLAINTEXT",
    (True, True): "SASL_SSL",
}
_FAILURES = (KafkaError, OSError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Where the brokers are and how they are spoken to.

    `brokers` are host:port with commas between; without `sasl_mechanism` no credentials are sent. `ca`: PEM
    of the CAs that a certificate may come from, empty = the system's. `request_seconds`: for one request.
    """

    brokers: str
    topic: str
    tls: bool = False
    ca: str = field(default="", repr=False)
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    request_seconds: float = 10.0

    def client(self) -> dict[str, Any]:
        """The arguments that every aiokafka client takes."""
        found: dict[str, Any] = {
            "bootstrap_servers": [broker.strip() for broker in self.brokers.split(",")],
            "client_id": "llm-orchestrator",
            "request_timeout_ms": int(self.request_seconds * 1000),
            "security_protocol": _PROTOCOLS[bool(self.sasl_mechanism), self.tls],
        }
        if self.tls:
            found["ssl_context"] = ssl.create_default_context(cadata=self.ca or None)
        if self.sasl_mechanism:
            found["sasl_mechanism"] = self.sasl_mechanism
            found["sasl_plain_username"] = self.sasl_username
            found["sasl_plain_password"] = self.sasl_password
        return found


class KafkaPublisher:
    """Implements `orchestrator.relay.relay.Publisher`.

    The producer is idempotent and waits for all replicas: what it sends again within its life arrives once.
    Of each partition one request is under way at a time, so those of a key arrive in order.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            producer = self._producer or await self._connected()
            acknowledged: list[asyncio.Future[Any]] = []
            for number, (key, value) in enumerate(messages):
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                sent = await producer.send(self._options.topic, value, key, headers=_HEADERS)
                acknowledged.append(sent)
            await asyncio.gather(*acknowledged)
        except _FAILURES as error:
            raise BrokerError(type(error).__name__) from error

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _abandon(producer)

    async def _connected(self) -> AIOKafkaProducer:
        self._producer = producer = AIOKafkaProducer(
            **self._options.client(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=_MOST_BATCH_BYTES,
        )
        async with asyncio.timeout(self._options.request_seconds):
            await producer.start()
        return producer


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Stop it now. Its own `stop` waits for ever for what a broker that is away has not acknowledged."""
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # at the first time it still waits for its requests
        await asyncio.wait({sender}, timeout=0.1)
    if sender is not None:
        producer._message_accumulator.fail_all(KafkaError("abandoned"))
    with suppress(*_FAILURES):
        await producer.stop()


async def followed(options: KafkaOptions, *, from_beginning: bool) -> AsyncGenerator[bytes]:
    """The messages of the topic's partitions, from now on or from the first that is kept; it does not end.

    Iterate it under `aclosing`.

    Raises:
        BrokerError: It cannot be reached, or refuses.
    """
    offset = "earliest" if from_beginning else "latest"
    consumer = AIOKafkaConsumer(options.topic, **options.client(), auto_offset_reset=offset)
    try:
        async with asyncio.timeout(options.request_seconds):
            await consumer.start()
        async for record in consumer:
            yield record.value or b""
    except _FAILURES as error:
        raise BrokerError(type(error).__name__) from error
    finally:
        await consumer.stop()
