"""`python main.py events`: following events in a terminal, and saying what is wrong."""

from pathlib import Path

import orjson
import pytest

from tests.fakes.scripted_provider.addresses import refusing_address
from tests.harness.events import fill, problems, waiting
from tests.harness.kafka import TOPIC, MockBroker, receiving
from tests.harness.process import run_main, starting_process
from tests.integration.events.relaying import relay_process


async def test_what_is_in_the_outbox_is_printed_a_line_for_each_event_and_stays_there(
    dsn: str, tmp_path: Path
) -> None:
    await fill(dsn, 5, 2)
    async with starting_process(tmp_path, "events", "tail", "--all", DATABASE_URL=dsn) as process:
        await process.printed(5)
        await fill(dsn, 3, 2)
        printed = await process.printed(8)
        assert await process.stop() == 0
    events = [orjson.loads(line) for line in printed]
    assert [int(event["sequence"]) for event in events] == list(range(1, 9))
    assert [line for event in events for line in problems(event)] == []
    assert await waiting(dsn) == 8


async def test_with_a_broker_its_topic_is_followed(dsn: str, broker: MockBroker, tmp_path: Path) -> None:
    await fill(dsn, 6, 2)
    environment = {
        "ORCHESTRATOR_EVENTS__BROKERS": broker.address,
        "ORCHESTRATOR_EVENTS__TOPIC": TOPIC,
    }
    async with relay_process(tmp_path, dsn, broker.address), receiving(broker.address) as received:
        await received.until(6)
        async with starting_process(tmp_path, "events", "tail", "--all", **environment) as process:
            printed = await process.printed(6)
            assert await process.stop() == 0
    assert {orjson.loads(line)["id"] for line in printed} == received.ids


@pytest.mark.parametrize("action", ["tail", "relay"])
async def test_what_an_operator_can_mend_is_one_line(dsn: str, tmp_path: Path, action: str) -> None:
    with refusing_address() as address:
        brokers = {"ORCHESTRATOR_EVENTS__BROKERS": address} if action == "tail" else {}
        code, _, errors = await run_main(tmp_path, "events", action, DATABASE_URL=dsn, **brokers)
    assert code == 1
    assert errors.splitlines()[-1].startswith("llm-orchestrator: ")
    assert "Traceback" not in errors
