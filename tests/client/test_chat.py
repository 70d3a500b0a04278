"""A chat through the client: typed events, the text, errors, and nobody left running."""

import asyncio
from contextlib import aclosing

import grpc
import pytest

from llm_orchestrator_client import Event, OrchestratorClient
from llm_orchestrator_client.errors import (
    CancelledError,
    ConversationBusyError,
    DeadlineError,
    InvalidRequestError,
    UnavailableError,
)
from llm_orchestrator_client.events import Completion, ContentDelta, Failure, StatusUpdate
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import FinishReason, TaskState
from tests.client.callers import client_of, first_text, into, rest_of, sequences
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.retention import value
from tests.harness.service import Service

THREE = ("one", " two", " three")
HELD = Script(tokens=THREE, hold_after=1)


async def test_an_answer_comes_as_typed_events_in_order(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(Script(tokens=THREE))
    async with client.chat("hello", conversation_id="c1") as stream:
        events = await rest_of(stream)
    assert sequences(events) == list(range(1, len(events) + 1))
    assert isinstance(events[0], StatusUpdate)
    assert events[0].state is TaskState.RUNNING
    assert isinstance(events[-1], Completion)
    assert events[-1].finish_reason is FinishReason.STOP
    assert events[-1].usage is not None
    assert stream.transcript.text == stream.transcript.final_text == "one two three"
    assert {event.run_id for event in events} == {stream.run_id}
    assert stream.conversation_id == "c1"


async def test_the_whole_answer_is_one_call_away(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(Script(tokens=THREE))
    assert await client.chat("hello").text() == "one two three"


async def test_a_request_says_all_that_the_contract_has(service: Service, client: OrchestratorClient) -> None:
    request = pb.ChatRequest(query="hello", limits=pb.RunLimits(max_steps=3), metadata={"a": "b"})
    await client.chat(request, conversation_id="c1").text()
    assert request.request_id == ""  # the caller's message is his own
    said = [message["content"] for message in service.provider.ledger[0].body["messages"][1:]]
    assert said == ["hello"]


async def test_a_name_that_is_not_ascii_comes_back_as_it_was(client: OrchestratorClient) -> None:
    stream = client.chat("hello", conversation_id="c%é")
    await stream.text()
    assert stream.conversation_id == "c%é"


async def test_a_run_that_breaks_shows_its_failure_and_then_raises_it(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)))
    events: list[Event] = []
    stream = client.chat("hello")
    with pytest.raises(UnavailableError) as raised:
        await into(events, stream)
    assert isinstance(events[-1], Failure)
    assert raised.value.reason == events[-1].error.reason == "PROVIDER_BROKEN"
    assert raised.value.code is grpc.StatusCode.UNAVAILABLE
    assert raised.value.retryable == events[-1].error.retryable
    assert len(service.provider.ledger) == 1  # nothing was asked twice
    assert stream.transcript.text == "half"


async def test_a_bad_request_names_its_fields_and_is_not_tried_again(client: OrchestratorClient) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await client.chat("", agent_type="chat").text()
    assert "query" in raised.value.violations
    assert not raised.value.retryable


async def test_a_busy_conversation_names_the_run_that_holds_it(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD)
    async with client.chat("hello", conversation_id="c1") as stream:
        await first_text(stream)
        with pytest.raises(ConversationBusyError) as raised:
            await client.chat("again", conversation_id="c1").text()
        assert raised.value.run_id == stream.run_id


async def test_who_breaks_off_leaves_no_run(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    async with client.chat("hello") as stream:
        await first_text(stream)
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")
    assert await service.run_ended(stream.run_id) == "cancelled"
    assert await service.provider.ledger[0].ended() is Outcome.CLIENT_GONE


async def test_a_stream_that_is_only_dropped_leaves_no_run(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD)
    async for event in client.chat("hello"):
        if isinstance(event, ContentDelta):
            run_id = event.run_id
            break
    assert await service.run_ended(run_id) == "cancelled"


async def test_aclosing_works_as_with_any_generator(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    async with aclosing(client.chat("hello")) as stream:
        await first_text(stream)
    assert await service.run_ended(stream.run_id) == "cancelled"


async def test_a_cancelled_consumer_leaves_no_run(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    stream = client.chat("hello")
    consumer = asyncio.create_task(stream.text())
    await service.provider.call(1)
    await service.provider.ledger[0].sent(1)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    # What the provider has sent may not have come to the client yet, nor the run's id.
    run_id = await value(service.dsn, "SELECT run_id::text FROM runs")
    assert await service.run_ended(run_id) == "cancelled"


async def test_a_consumer_that_is_cancelled_again_while_it_leaves_still_leaves_no_run(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD)
    stream = client.chat("hello")
    consumer = asyncio.create_task(stream.text())
    await service.provider.call(1)
    consumer.cancel()
    await asyncio.sleep(0)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    await client.aclose()
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")


async def test_a_consumer_that_leaves_before_it_was_told_the_run_leaves_none(
    service: Service, client: OrchestratorClient
) -> None:
    """The run is cancelled by its request_id, which is all that is known of it then."""
    service.provider.enqueue(HELD)
    stream = client.chat("hello")
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.001)  # the request is on its way, at most
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await client.aclose()
    left = "SELECT count(*) FROM runs WHERE state NOT IN ('cancelled', 'cancelling')"
    assert await value(service.dsn, left) == 0


async def test_a_run_that_is_to_go_on_goes_on(service: Service, client: OrchestratorClient) -> None:
    service.provider.enqueue(HELD)
    async with client.chat("hello", keep_running=True) as stream:
        await first_text(stream)
    service.provider.release()
    assert await service.run_ended(stream.run_id) == "succeeded"
    assert await client.resume(stream.run_id).text() == "one two three"


async def test_a_finished_chat_cancels_nothing(service: Service, client: OrchestratorClient) -> None:
    stream = client.chat("hello")
    await stream.text()
    await client.aclose()
    assert await service.run_ended(stream.run_id) == "succeeded"


async def test_the_deadline_ends_the_reading_and_the_run(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD)
    stream = client.chat("hello", seconds=0.5)
    with pytest.raises(DeadlineError):
        await stream.text()
    assert await service.run_ended(stream.run_id) == "cancelled"


async def test_a_run_that_somebody_else_cancels_ends_as_cancelled(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(HELD)
    async with client.chat("hello") as stream:
        await first_text(stream)
        await client.tasks.cancel(stream.run_id)
        with pytest.raises(CancelledError):
            await rest_of(stream)


async def test_a_server_that_is_not_there_is_unavailable_at_once_without_patience() -> None:
    impatient = client_of("127.0.0.1:1")
    async with impatient:
        with pytest.raises(UnavailableError) as raised:
            await impatient.tasks.status("t")
        assert raised.value.reason == ""
        assert raised.value.retryable
