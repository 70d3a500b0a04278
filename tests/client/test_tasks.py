"""Tasks and what else a caller asks for, through the client."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from llm_orchestrator_client import OrchestratorClient, TaskSnapshot
from llm_orchestrator_client.errors import CancelledError, NotFoundError, PreconditionError
from llm_orchestrator_client.events import Completion
from llm_orchestrator_client.records import ProviderState
from llm_orchestrator_client.values import TaskState
from tests.client.callers import client_of, first_text, into, rest_of, sequences
from tests.client.relay import relaying
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service

THREE = ("one", " two", " three")
HELD = Script(tokens=THREE, hold_after=1)


async def test_a_task_is_begun_followed_and_read(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    started = await client.tasks.start("do it", conversation_id="c1", labels={"of": "test"})
    assert started.state is TaskState.RUNNING
    watched = client.tasks.watch(started.task_id)
    events = await first_text(watched)
    assert isinstance(events[0], TaskSnapshot)
    assert events[0].task.state is TaskState.RUNNING
    service.provider.release()
    events += await rest_of(watched)
    assert isinstance(events[-1], Completion)
    assert watched.conversation_id == "c1"
    assert sequences(events) == list(range(1, len(events)))
    task = await client.tasks.status(started.task_id)
    assert (task.state, task.result, task.labels) == (TaskState.SUCCEEDED, "one two three", {"of": "test"})
    assert task.last_sequence == events[-1].sequence
    assert task.create_time is not None
    assert datetime.now(UTC) - task.create_time < timedelta(minutes=1)


async def test_watching_goes_on_over_cuts_and_tells_the_snapshot_once(service: Service) -> None:
    service.provider.enqueue(Script(tokens=THREE, token_interval=0.05))
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        relay.cut_after = [1, 2, 1, 2, 0]
        started = await client.tasks.start("do it")
        watched = client.tasks.watch(started.task_id)
        events = await rest_of(watched)
        assert len(relay.of("WatchTask")) == 6
    assert [event for event in events if isinstance(event, TaskSnapshot)] == events[:1]
    assert sequences(events) == list(range(1, len(events)))
    assert watched.transcript.text == "one two three"


async def test_who_stops_watching_stops_nothing(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    started = await client.tasks.start("do it")
    async with client.tasks.watch(started.task_id) as watched:
        await first_text(watched)
    service.provider.release()
    assert await service.run_ended(started.task_id) == "succeeded"


async def test_a_cancelled_task_ends_for_its_watchers_and_can_be_begun_anew(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD, Script(tokens=THREE))
    started = await client.tasks.start("do it", request_id="mine")
    watched = client.tasks.watch(started.task_id)
    events = await first_text(watched)
    cancelled = await client.tasks.cancel(request_id="mine", reason="enough")
    assert cancelled.state in (TaskState.CANCELLING, TaskState.CANCELLED)
    with pytest.raises(CancelledError):
        await into(events, watched)
    again = await client.tasks.retry(started.task_id, from_start=True)
    assert await client.tasks.watch(again.task_id).text() == "one two three"
    with pytest.raises(PreconditionError):
        await client.tasks.retry(again.task_id)


async def test_lists_come_page_after_page_as_they_are_read(service: Service) -> None:
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        begun = [(await client.tasks.start(f"task {n}")).task_id for n in range(5)]
        found = [task.task_id async for task in client.tasks.list(page_size=2)]
        assert found == begun[::-1]
        assert len(relay.of("ListTasks")) == 3
        relay.passed.clear()
        async for task in client.tasks.list(page_size=2):
            assert task.task_id == begun[-1]
            break
        assert len(relay.of("ListTasks")) == 1
        after = datetime.now(UTC) + timedelta(hours=1)
        assert [task async for task in client.tasks.list(created_after=after)] == []
        assert [task async for task in client.tasks.list(states=[TaskState.EXPIRED])] == []


async def test_conversations_have_checkpoints_and_can_be_deleted(
    service: Service, client: OrchestratorClient
) -> None:
    stream = client.chat("hello", conversation_id="c1")
    await stream.text()
    checkpoints = [checkpoint async for checkpoint in client.conversations.checkpoints("c1", page_size=1)]
    assert checkpoints[0].head
    assert checkpoints[0].run_id == stream.run_id
    assert await client.conversations.delete("c1") == 1
    with pytest.raises(NotFoundError):
        await client.tasks.status(stream.run_id)
    assert service.provider.in_flight == 0


async def test_usage_providers_and_the_server_are_told(service: Service, client: OrchestratorClient) -> None:
    await client.chat("hello").text()
    report = await client.usage()
    assert report.usage.model_calls == 1
    assert report.by_agent["chat"].output_tokens == report.usage.output_tokens > 0
    providers = await client.providers()
    assert [provider.state for provider in providers.providers] == [ProviderState.AVAILABLE]
    assert providers.accepting_tasks
    assert "chat" in (await client.server_info()).agents
    health = await client.health()
    assert health.status == "healthy"
    assert not health.draining
    assert service.provider.in_flight == 0


async def test_many_chats_share_one_client(service: Service, client: OrchestratorClient) -> None:
    service.provider.default = Script(tokens=THREE)
    texts = await asyncio.gather(*(client.chat(f"question {n}").text() for n in range(20)))
    assert texts == ["one two three"] * 20
    assert len(service.provider.ledger) == 20
