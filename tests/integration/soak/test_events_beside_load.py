"""What callers feel of the relay: the same load without events, and beside a backlog that is being drained.

Against librdkafka's mock cluster. Times are printed, and no gate: machines are noisy. Counts are.
"""

import asyncio
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.harness.events import fill, waiting
from tests.harness.kafka import TOPIC, MockBroker, receiving
from tests.harness.scale import report, scaled
from tests.integration.soak.loaded import Loaded, Timed, loaded_service, quantile, timed

CALLERS = 8
CALLS = scaled(400)
BACKLOG = scaled(8_000)
EVENTS = BACKLOG + 3 * 5 * CALLS
"""Of each call there are three: its start, its end and what was used."""
ANSWER = Script(tokens=("one", " two", " three"), token_interval=0.005)


async def load(loaded: Loaded) -> list[Timed]:
    """So many calls, each caller's next one when its last has ended."""
    left = iter(range(CALLS))

    async def caller() -> list[Timed]:
        return [await timed(loaded.stub, f"turn {number}", pb.RunOptions()) for number in left]

    return [call for calls in await asyncio.gather(*(caller() for _ in range(CALLERS))) for call in calls]


def told(name: str, calls: list[Timed]) -> str:
    first = [call.texts[0] - call.began for call in calls]
    half, most = quantile(first, 0.5) * 1e3, quantile(first, 0.99) * 1e3
    return f"{name}: first token p50 {half:.1f} ms, p99 {most:.1f} ms"


@pytest.mark.timeout(900)
async def test_the_relay_drains_a_backlog_beside_callers_of_a_mock_broker(dsn: str, tmp_path: Path) -> None:
    broker = MockBroker()
    events = {"EVENTS__BROKERS": broker.address, "EVENTS__TOPIC": TOPIC}
    async with receiving(broker.address) as received:  # in both, because callers and broker share a process
        async with loaded_service(dsn, tmp_path, ANSWER) as loaded:
            await load(loaded)  # warm
            without = await load(loaded)
        async with loaded_service(dsn, tmp_path, ANSWER, **events) as loaded:
            await load(loaded)  # warm, and the events of the first calls
            idle = await load(loaded)
            await fill(dsn, BACKLOG, 100)
            beside = await load(loaded)
            backlog_left = await waiting(dsn)
            await received.until(EVENTS, within=60)
    broker.close()
    lines = [told("without events", without), told("with them", idle), told("beside a backlog", beside)]
    report("\n".join([*lines, f"of {BACKLOG} events {backlog_left} were left at the end of the load"]))
    assert all(call.answered for call in (*without, *idle, *beside))
    assert len(received.ids) == EVENTS
    assert received.repeats == 0
