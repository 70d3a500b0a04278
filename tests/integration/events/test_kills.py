"""The relay, in processes that are killed, between a full outbox and a broker that was away.

The broker is librdkafka's mock cluster; with KAFKA_JARS (`make kafka`) it is Apache Kafka. TEST_SCALE=10 is
100,000 events and twenty kills.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from tests.harness.events import fill, problems, waiting
from tests.harness.kafka import BROKERS, Broker, Received, receiving
from tests.harness.scale import SCALE, report, scaled
from tests.integration.events.relaying import relay_process

EVENTS = scaled(10_000)
KEYS = 200
KILLS = 2 * SCALE
BATCH = 100
GOAL = 2000.0


@pytest.fixture(params=BROKERS)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    async with request.param(tmp_path) as broker:
        yield broker


async def gone(folder: Path, dsn: str, broker: Broker) -> None:
    """A relay that cannot reach the broker keeps what it was to send, and dies."""
    await broker.cut()
    await fill(dsn, EVENTS, KEYS)
    async with relay_process(folder, dsn, broker.bootstrap) as process:
        await process.complains("the broker does not take events")
        assert await waiting(dsn) == EVENTS
        await process.kill()
    await broker.restore()


async def drained(folder: Path, dsn: str, broker: Broker, received: Received) -> tuple[float, int]:
    """Kill relays one after the other; events a second of the last, and how many kills left some to send."""
    random, in_the_middle = Random(7), 0
    for _ in range(KILLS):
        async with relay_process(folder, dsn, broker.bootstrap, BATCH_SIZE=str(BATCH)) as process:
            some = random.randint(1, EVENTS // (5 * KILLS))
            await received.until(min(EVENTS, len(received.ids) + some), within=60.0)
            await process.kill()
            in_the_middle += await waiting(dsn) > 0
    async with relay_process(folder, dsn, broker.bootstrap, BATCH_SIZE=str(BATCH)):
        await received.until(min(EVENTS, len(received.ids) + 1), within=60.0)
        before, began = len(received.ids), monotonic()
        await received.until(EVENTS, within=300.0)
    return (EVENTS - before) / (monotonic() - began), in_the_middle


@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_disordered_when_relays_are_killed_in_front_of_a_mock_or_real_broker(
    dsn: str, broker: Broker, tmp_path: Path
) -> None:
    async with receiving(broker.bootstrap) as received:
        await gone(tmp_path, dsn, broker)
        rate, in_the_middle = await drained(tmp_path, dsn, broker, received)
    lost = EVENTS - len(received.ids)
    report(
        f"{broker.name}: {EVENTS} events, {KILLS} kills, {in_the_middle} in the middle: {lost} lost,"
        f" {received.repeats} came twice (at most {KILLS * BATCH}); drained {rate:.0f}/s (goal {GOAL:.0f})"
    )
    assert lost == 0
    assert in_the_middle > 0
    assert received.repeats <= KILLS * BATCH
    assert len(received.by_key) == KEYS
    for key in received.by_key:
        assert received.first_ones(key) == sorted(received.first_ones(key))
    assert problems(received.events[0]) == []
    assert await waiting(dsn) == 0
