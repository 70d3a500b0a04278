"""One active run in a conversation: a second turn is refused, waits, or interrupts the first."""

import asyncio
from itertools import islice
from typing import TypeAlias
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info

HELD = Script(tokens=("one", " two"), hold_after=1)
WHOLE = Script(tokens=("three", " four"))
WAIT = pb.BUSY_BEHAVIOR_WAIT
INTERRUPT = pb.BUSY_BEHAVIOR_INTERRUPT

Behaviour: TypeAlias = "pb.BusyBehavior.ValueType"
Call = grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]


def turn(query: str, on_busy: Behaviour = pb.BUSY_BEHAVIOR_UNSPECIFIED, **fields: object) -> pb.ChatRequest:
    values = {"conversation_id": "c1", "run_options": pb.RunOptions(on_busy=on_busy), **fields}
    return chat_request(query, **values)


async def begun(service: Service, request: pb.ChatRequest) -> tuple[Call, str]:
    """A call whose run has written text, and the run's id."""
    call = service.stub.StreamChat(request)
    async for chunk in call:
        if chunk.content.text:
            return call, chunk.run_id
    raise AssertionError("no text came")


async def refusal(service: Service, request: pb.ChatRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(collect(service.stub.StreamChat(request), []), 10)
    return raised.value


def said(provider: ScriptedProvider, number: int) -> list[str]:
    """What the model was told in a call, counted from 0, but for the system prompt."""
    return [message["content"] for message in provider.ledger[number].body["messages"][1:]]


async def test_a_second_turn_is_refused_with_the_id_of_the_first_and_costs_no_call(service: Service) -> None:
    service.provider.enqueue(HELD)
    call, run_id = await begun(service, turn("first"))
    error = await refusal(service, turn("second"))
    assert error.code() is grpc.StatusCode.ABORTED
    assert error_info(error).reason == "CONVERSATION_BUSY"
    assert error_info(error).metadata["run_id"] == run_id
    service.provider.release()
    assert [chunk async for chunk in call][-1].complete.final_text == "one two"
    assert len(service.provider.ledger) == 1


async def test_other_conversations_and_other_users_are_not_in_the_way(service: Service) -> None:
    service.provider.enqueue(HELD)
    await begun(service, turn("first"))
    assert text_of(await service.chat("else", conversation_id="c2"))
    assert text_of(await service.chat("else", conversation_id="c1", user_id="bob"))


async def test_of_many_turns_at_once_one_begins_and_the_model_is_called_once(service: Service) -> None:
    service.provider.default = HELD
    calls = [asyncio.create_task(collect(service.stub.StreamChat(turn(str(n))), [])) for n in range(20)]
    async with asyncio.timeout(10):
        for ending in islice(asyncio.as_completed(calls), 19):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await ending
            assert raised.value.code() is grpc.StatusCode.ABORTED
        await service.provider.call(1)
        service.provider.release()
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(service.provider.ledger) == 1


async def test_a_turn_that_waits_runs_after_the_first_and_knows_it(service: Service) -> None:
    service.provider.enqueue(HELD, WHOLE)
    first, _ = await begun(service, turn("first"))
    options = pb.StreamOptions(heartbeat_interval=Duration(nanos=100_000_000))
    second = aiter(service.stub.StreamChat(turn("second", WAIT, stream_options=options)))
    beat = await anext(second)
    assert (beat.WhichOneof("payload"), beat.sequence) == ("heartbeat", 0)
    service.provider.release()
    chunks = [chunk async for chunk in second]
    assert text_of([chunk async for chunk in first]) == " two"
    assert chunks[-1].complete.final_text == "three four"
    assert said(service.provider, 1) == ["first", "one two", "second"]


async def test_a_turn_that_waited_as_long_as_it_wants_is_refused(service: Service) -> None:
    service.provider.enqueue(HELD)
    _, run_id = await begun(service, turn("first"))
    options = pb.RunOptions(on_busy=WAIT, max_wait=Duration(nanos=300_000_000))
    error = await refusal(service, turn("second", run_options=options))
    assert error.code() is grpc.StatusCode.ABORTED
    assert error_info(error).metadata["run_id"] == run_id
    assert len(service.provider.ledger) == 1


async def test_the_server_says_how_long_a_turn_waits_that_does_not_say(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(HELD)
    async with running_service(dsn, provider, run={"max_wait_seconds": 0.3}) as service:
        await begun(service, turn("first"))
        assert (await refusal(service, turn("second", WAIT))).code() is grpc.StatusCode.ABORTED


async def test_many_turns_that_wait_all_have_their_turn(service: Service) -> None:
    service.provider.enqueue(HELD)
    await begun(service, turn("first"))
    waiting = [asyncio.create_task(service.chat(f"later {n}", **turn_fields(WAIT))) for n in range(5)]
    service.provider.release()
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert all(answer[-1].HasField("complete") for answer in answers)
    questions = [text for text in said(service.provider, 5) if text.startswith("later")]
    assert sorted(questions) == [f"later {n}" for n in range(5)]


def turn_fields(on_busy: Behaviour) -> dict[str, object]:
    return {"conversation_id": "c1", "run_options": pb.RunOptions(on_busy=on_busy)}


async def test_a_turn_that_interrupts_ends_the_first_which_leaves_nothing(service: Service) -> None:
    await service.chat("before", conversation_id="c1")
    service.provider.enqueue(HELD, WHOLE)
    first, run_id = await begun(service, turn("first"))
    chunks = await service.chat("second", **turn_fields(INTERRUPT))
    left: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(first, left)
    assert raised.value.code() is grpc.StatusCode.CANCELLED
    assert left[-1].error.reason == "CANCELLED"
    assert await service.run_ended(run_id) == "cancelled"
    assert await service.provider.ledger[1].ended() is Outcome.CLIENT_GONE
    assert chunks[-1].complete.final_text == "three four"
    assert [text for text in said(service.provider, 2) if text in ("before", "first", "second")] == [
        "before",
        "second",
    ]


async def test_a_run_is_interrupted_on_the_replica_that_executes_it(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(HELD, WHOLE)
    # Looking at the table would come too late here: the notification has to.
    rarely = {"reap_seconds": 60.0}
    async with (
        running_service(dsn, provider, run=rarely) as one,
        running_service(dsn, provider, run=rarely) as two,
    ):
        _, run_id = await begun(one, turn("first"))
        chunks = await asyncio.wait_for(two.chat("second", **turn_fields(INTERRUPT)), 10)
        assert chunks[-1].complete.final_text == "three four"
        assert await one.run_ended(run_id) == "cancelled"


async def test_a_run_is_cancelled_though_its_replica_was_not_told(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(HELD)
    async with running_service(dsn, provider, run={"reap_seconds": 0.1}) as service:
        call, run_id = await begun(service, turn("first"))
        connection = await asyncpg.connect(dsn)
        statement = "UPDATE orchestrator.runs SET state = 'cancelling' WHERE run_id = $1"
        await connection.execute(statement, UUID(run_id))
        await connection.close()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asyncio.wait_for(collect(call, []), 10)
        assert raised.value.code() is grpc.StatusCode.CANCELLED


async def test_a_chat_in_line_holds_its_conversation_and_ends_there_when_interrupted(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Its replica drained and handed it back; nobody takes it up."""
    provider.enqueue(HELD)
    options = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
    async with running_service(dsn, provider, server={"drain_seconds": 0.0}) as drained:
        _, run_id = await begun(drained, turn("first", run_options=options))
    rarely = {"reap_seconds": 60.0}
    connection = await asyncpg.connect(dsn)
    await connection.execute("ALTER TABLE orchestrator.runs ADD CHECK (attempt < 2) NOT VALID")
    await connection.close()
    async with running_service(dsn, provider, run=rarely) as service:
        error = await refusal(service, turn("second"))
        assert error_info(error).metadata["run_id"] == run_id
        assert (await service.chat("third", **turn_fields(INTERRUPT)))[-1].HasField("complete")
        assert await service.run_ended(run_id) == "cancelled"
        request = pb.ResumeStreamRequest(user_id="ann", run_id=run_id)
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError):
            await collect(service.stub.ResumeStream(request), chunks)
    assert chunks[-1].error.reason == "CANCELLED"
