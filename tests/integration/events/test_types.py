"""What a real service tells: every type, as its schema says, and nothing that anybody has said."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestrator.relay.cloud_events import TYPES
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.events import QUICK, fill, problems, waiting
from tests.harness.kafka import MockBroker, Received, receiving
from tests.harness.retention import HOUR, age, connected, heard_passes, retention_store
from tests.harness.service import Service, chat_request, collect, running_service
from tests.harness.tooled import decide, pending, tools_at, wish, wishing
from tests.integration.provider_first.asking import FAIL, WAIT, one_model, service_with
from tests.integration.provider_first.states import HELD, OPENS_AFTER
from tests.integration.tasks.asking import refused, start

CANARY = "canary-7f3c"
NOTES = wishing(wish("add_org_inbox_item", {"text": CANARY, "kind": "todo"}), text=CANARY)
ANSWER = Script(tokens=(CANARY, "."))
CAPACITY = 10
"""Of the line: full at eight, open again below six."""


async def completed_and_asked(service: Service) -> None:
    service.provider.enqueue(ANSWER, NOTES, ANSWER)
    await service.chat(CANARY)
    await service.chat(CANARY, agent_type="org_inbox")
    [permission] = await pending(service)
    await decide(service, permission, reason=CANARY)
    await service.run_ended(permission.run_id)


async def cancelled_expired_and_full(service: Service) -> None:
    """One answers and holds the only place; tasks stand behind it."""
    service.provider.enqueue(HELD)
    holding = service.stub.StreamChat(chat_request(CANARY))
    reading = asyncio.create_task(collect(holding, []))
    await (await service.provider.call(len(service.provider.ledger) + 1)).sent(1)
    expiring = await start(service, CANARY, queue_timeout=Duration(nanos=100_000_000))
    await service.run_ended(expiring.task_id)
    tasks = [await start(service, CANARY) for _ in range(7)]
    for _ in range(3):
        error = await refused(service.stub.StartTask(pb.TaskRequest(user_id="bob", query=CANARY)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for task in tasks:
        await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    service.provider.release()
    await reading


async def down_and_back(service: Service, received: Received) -> None:
    service.provider.enqueue(*[Script(status=503)] * OPENS_AFTER)
    opened = len(service.provider.ledger) + OPENS_AFTER
    while len(service.provider.ledger) < opened:  # the only place may still be taken, and nobody be asked
        with pytest.raises(grpc.aio.AioRpcError):
            await service.chat(CANARY, run_options=FAIL)
    await received.has("provider.unavailable")
    await service.chat(CANARY, run_options=WAIT)
    await received.has("provider.recovered")


async def test_every_type_comes_from_a_service_as_its_schema_says_without_what_was_said(
    dsn: str, provider: ScriptedProvider, broker: MockBroker, tmp_path: Path
) -> None:
    provider.default = ANSWER
    text = one_model(provider, "limits = { max_concurrency = 1 }")
    async with FakeToolService() as backend, receiving(broker.address) as received:
        groups: dict[str, Mapping[str, object]] = {
            "events": {**QUICK, "brokers": broker.address},
            "tools": tools_at(backend),
            "queue": {"capacity": CAPACITY},
            "use_grpc_tool_service": True,  # type: ignore[dict-item]
        }
        async with service_with(dsn, provider, tmp_path / "p.toml", text, **groups) as service:
            await completed_and_asked(service)
            await cancelled_expired_and_full(service)
            await down_and_back(service, received)
            await received.has(*TYPES)
    assert [line for event in received.events for line in problems(event)] == []
    assert not [raw for raw in received.raw if CANARY.encode() in raw]
    of_kind = [event["type"] for event in received.events if not event["subject"].startswith("run/")]
    assert of_kind == ["queue.full", "queue.accepting", "provider.unavailable", "provider.recovered"]
    for key, events in received.by_key.items():
        assert received.first_ones(key) == sorted(received.first_ones(key))
        ends = [e["type"] for e in events if e["type"] == "usage.recorded"]
        assert len(ends) == (1 if events[0]["subject"].startswith("run/") else 0)


async def test_what_a_run_used_is_in_its_event(
    dsn: str, provider: ScriptedProvider, broker: MockBroker, tmp_path: Path
) -> None:
    async with receiving(broker.address) as received:
        groups = {"events": {**QUICK, "brokers": broker.address}}
        text = one_model(provider)
        async with service_with(dsn, provider, tmp_path / "p.toml", text, **groups) as service:
            chunks = await service.chat()
            await received.has("usage.recorded")
    [event] = [event for event in received.events if event["type"] == "usage.recorded"]
    [model] = event["data"]["by_model"]
    used = chunks[-1].usage
    assert (model["model"], model["model_calls"]) == ("m", 1)
    assert (model["input_tokens"], model["output_tokens"]) == (used.input_tokens, used.output_tokens)
    assert used.output_tokens > 0


async def test_without_a_broker_everything_works_and_events_wait_for_retention(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with service_with(dsn, provider, tmp_path / "p.toml", one_model(provider)) as service:
        assert await service.chat()
    async with connected(dsn) as connection:
        rows = await connection.fetch("SELECT type FROM outbox ORDER BY event_id")
    assert [row["type"] for row in rows] == ["run.started", "run.completed", "usage.recorded"]
    await age(dsn, hours=10)
    async with retention_store(dsn) as store:
        assert await store.delete_outbox(HOUR)
    assert await waiting(dsn) == 0


@pytest.mark.parametrize(("brokers", "left"), [("", 0), ("127.0.0.1:1", 3)])
async def test_retention_deletes_no_event_that_a_broker_is_to_get(
    dsn: str, provider: ScriptedProvider, brokers: str, left: int
) -> None:
    await fill(dsn, 3, 1)
    await age(dsn, hours=24 * 100)
    with heard_passes() as passes:
        async with running_service(dsn, provider, events={"brokers": brokers}):
            await passes.number(1)
    assert await waiting(dsn) == left
