"""Each setting of the events, changed, changes what happens."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from config.events import EventSettings
from state.outbox import Lag
from state.postgres.database import Database
from state.postgres.outbox import PostgresOutbox
from tests.fakes.scripted_provider.addresses import silent_address
from tests.harness.certificates import Certificate, self_signed
from tests.harness.events import QUICK, fill, waiting
from tests.harness.kafka import TOPIC, MockBroker, receiving
from tests.harness.service import settings_for_tests
from wiring.events import EventSettingsError, relayed


@dataclass
class Heard:
    """When something was told to the relay's observer, in seconds."""

    batches: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Observer:
    def __init__(self) -> None:
        self.heard = Heard()

    def relayed(self, events: int) -> None:
        self.heard.batches.append(events)
        self.heard.changed.set()

    def lags(self, lag: Lag) -> None:
        del lag
        self.heard.lags.append(monotonic())
        self.heard.changed.set()

    def failed(self) -> None:
        self.heard.failures.append(monotonic())
        self.heard.changed.set()


@pytest.fixture
def outbox(database: Database) -> PostgresOutbox:
    """One for all relays of a test: a turn goes with its connection."""
    return PostgresOutbox(database)


@asynccontextmanager
async def relaying(outbox: PostgresOutbox, **events: object) -> AsyncIterator[Heard]:
    observer = Observer()
    settings = settings_for_tests(events={**QUICK, **events})
    async with relayed(settings, outbox, observer):
        yield observer.heard


async def until(heard: Heard, name: str, number: int) -> list[float]:
    async with asyncio.timeout(20):
        while len(getattr(heard, name)) < number:
            heard.changed.clear()
            await heard.changed.wait()
    found: list[float] = getattr(heard, name)
    return found


async def test_events_go_to_the_topic_of_the_setting_with_the_source_of_the_setting(
    dsn: str, outbox: PostgresOutbox, broker: MockBroker
) -> None:
    async with receiving(broker.address) as usual, receiving(broker.address, "other") as other:
        await fill(dsn, 1, 1)
        async with relaying(outbox, brokers=broker.address, topic=TOPIC, source="one") as heard:
            await until(heard, "batches", 1)
        await fill(dsn, 1, 1)
        async with relaying(outbox, brokers=broker.address, topic="other", source="two") as heard:
            await until(heard, "batches", 1)
        await usual.until(1)
        await other.until(1)
    assert [event["source"] for event in (*usual.events, *other.events)] == ["one", "two"]


@pytest.mark.parametrize(("relay", "left"), [(True, 0), (False, 3)])
async def test_a_process_relays_only_if_the_setting_says_so(
    dsn: str, outbox: PostgresOutbox, broker: MockBroker, relay: bool, left: int
) -> None:
    await fill(dsn, 3, 1)
    async with relaying(outbox, brokers=broker.address, relay=relay) as heard:
        if relay:
            await until(heard, "batches", 1)
    assert await waiting(dsn) == left


async def test_without_brokers_nothing_is_relayed(dsn: str, outbox: PostgresOutbox) -> None:
    await fill(dsn, 3, 1)
    async with relaying(outbox, brokers="") as heard:
        assert await outbox.next(10)
    assert not heard.failures
    assert await waiting(dsn) == 3


@pytest.mark.parametrize("size", [4, 10])
async def test_as_many_go_at_once_as_the_setting_says(
    dsn: str, outbox: PostgresOutbox, broker: MockBroker, size: int
) -> None:
    await fill(dsn, 20, 2)
    async with relaying(outbox, brokers=broker.address, batch_size=size) as heard:
        await until(heard, "batches", 20 // size)
    assert heard.batches == [size] * (20 // size)


async def test_new_events_are_looked_for_as_often_as_the_setting_says(
    dsn: str, outbox: PostgresOutbox, broker: MockBroker
) -> None:
    took = {}
    for seconds in (0.02, 1.5):
        async with relaying(outbox, brokers=broker.address, look_seconds=seconds, lag_seconds=0.001) as heard:
            began = (await until(heard, "lags", 1))[0]  # it has looked, and found nothing
            await fill(dsn, 1, 1)
            await until(heard, "batches", 1)
            took[seconds] = monotonic() - began
    assert took[0.02] < took[1.5]
    assert took[1.5] >= 1.4


async def test_the_lag_is_measured_as_often_as_the_setting_says(
    outbox: PostgresOutbox, broker: MockBroker
) -> None:
    between = {}
    for seconds in (0.1, 1.0):
        async with relaying(outbox, brokers=broker.address, lag_seconds=seconds) as heard:
            first, second, *_ = await until(heard, "lags", 2)
            between[seconds] = second - first
    # What was heard late is heard nearer to the next.
    assert between[0.1] < 0.9 <= between[1.0]


async def test_a_broker_that_does_not_answer_is_waited_for_as_long_as_the_setting_says(
    dsn: str, outbox: PostgresOutbox
) -> None:
    await fill(dsn, 1, 1)
    took = {}
    with silent_address() as address:
        for seconds in (0.2, 1.5):
            began = monotonic()
            async with relaying(outbox, brokers=address, request_seconds=seconds) as heard:
                took[seconds] = (await until(heard, "failures", 1))[0] - began
    assert 0.2 <= took[0.2] < 1.5 <= took[1.5]


class Listener:
    """Hears what a client of Kafka says first: inside TLS if there is a certificate; answers for SASL."""

    def __init__(self, certificate: Certificate | None, folder: Path) -> None:
        self.first = b""
        self.credentials = b""
        self.mechanism = b""
        self._heard = asyncio.Event()
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            (folder / "key.pem").write_bytes(certificate.key)
            (folder / "certificate.pem").write_bytes(certificate.certificate)
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        async with server:
            host, port = server.sockets[0].getsockname()
            yield f"{host}:{port}"

    async def heard(self) -> None:
        await asyncio.wait_for(self._heard.wait(), 20)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size = await reader.readexactly(4)
                self.first = self.first or size
                if size[0]:  # no length of Kafka's, but the first byte of TLS
                    break
                request = await reader.readexactly(struct.unpack(">i", size)[0])
                answer = self._answer(request)
                if answer is None:
                    break
                writer.write(struct.pack(">i", len(answer)) + answer)
        self._heard.set()
        writer.close()

    def _answer(self, request: bytes) -> bytes | None:
        api, version, correlation, named = struct.unpack(">hhih", request[:10])
        body = request[10 + named :]
        begin = struct.pack(">i", correlation)
        match api:
            case 18:  # which versions there are; the oldest form of the answer is understood by all
                if version > 0:
                    return begin + struct.pack(">hi", 35, 0)
                apis = [(3, 0, 1), (17, 0, 1), (18, 0, 0), (36, 0, 0)]
                return (
                    begin + struct.pack(">hi", 0, len(apis)) + b"".join(struct.pack(">hhh", *a) for a in apis)
                )
            case 17:
                self.mechanism = body[2:]
                return begin + struct.pack(">hi", 0, 1) + body
            case 36:
                self.credentials = body[4:]
        return None


@pytest.mark.parametrize(("tls", "begins_with"), [(False, 0), (True, 22)])
async def test_connections_are_encrypted_if_the_setting_says_so(
    dsn: str, outbox: PostgresOutbox, tmp_path: Path, tls: bool, begins_with: int
) -> None:
    await fill(dsn, 1, 1)
    listener = Listener(None, tmp_path)
    async with listener.listening() as address, relaying(outbox, brokers=address, tls=tls):
        await listener.heard()
    assert listener.first[0] == begins_with


@pytest.mark.parametrize("known", [True, False])
async def test_a_certificate_is_believed_if_it_comes_from_the_cas_of_the_setting(
    dsn: str, outbox: PostgresOutbox, tmp_path: Path, known: bool
) -> None:
    await fill(dsn, 1, 1)
    listener, file = Listener(self_signed(), tmp_path), tmp_path / "ca.pem"
    file.write_bytes((tmp_path / "certificate.pem").read_bytes() if known else self_signed().certificate)
    async with (
        listener.listening() as address,
        relaying(outbox, brokers=address, tls=True, ca_file=file) as heard,
    ):
        await (listener.heard() if known else until(heard, "failures", 1))
    assert bool(listener.first) is known


async def test_a_file_of_cas_that_cannot_be_read_is_told_at_the_start(
    outbox: PostgresOutbox, tmp_path: Path
) -> None:
    with pytest.raises(EventSettingsError, match="CA_FILE"):
        async with relaying(outbox, brokers="127.0.0.1:1", tls=True, ca_file=tmp_path / "none"):
            pass


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        (("PLAIN", "ann", "secret-1"), b"ann\0ann\0secret-1"),
        (("PLAIN", "bob", "secret-2"), b"bob\0bob\0secret-2"),
        (("SCRAM-SHA-256", "ann", "secret-1"), b"n,,n=ann,r="),
        (("SCRAM-SHA-512", "bob", "secret-1"), b"n,,n=bob,r="),
    ],
)
async def test_a_broker_is_told_name_and_password_in_the_way_of_the_setting(
    dsn: str, outbox: PostgresOutbox, tmp_path: Path, credentials: tuple[str, str, str], said: bytes
) -> None:
    await fill(dsn, 1, 1)
    listener = Listener(None, tmp_path)
    names = ("sasl_mechanism", "sasl_username", "sasl_password")
    async with (
        listener.listening() as address,
        relaying(outbox, brokers=address, **dict(zip(names, credentials, strict=True))),
    ):
        await listener.heard()
    assert listener.mechanism == credentials[0].encode()
    assert listener.credentials.startswith(said)


def test_credentials_are_whole_and_their_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match="sasl_username and sasl_password"):
        EventSettings(sasl_mechanism="PLAIN", sasl_username="ann")
    settings = EventSettings(sasl_mechanism="PLAIN", sasl_username="ann", sasl_password="canary")  # type: ignore[arg-type]
    assert "canary" not in repr(settings)
