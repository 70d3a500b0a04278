"""DeleteConversation: active runs end first, and nothing of the conversation is left."""

import asyncio
from collections.abc import Sequence

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request, collect, running_service
from tests.harness.statuses import violations

CANARY = "blackbird"
SINGS = Script(tokens=(CANARY, " sings"))
HELD = Script(tokens=("one", " two"), hold_after=1)
TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'orchestrator' AND table_type = 'BASE TABLE'
"""


async def delete(service: Service, conversation: str = "c1", user: str = "ann") -> int:
    request = pb.DeleteConversationRequest(user_id=user, conversation_id=conversation)
    return (await service.stub.DeleteConversation(request, timeout=20)).deleted_runs


async def traces(dsn: str) -> dict[str, int]:
    """How many rows of each table hold the canary, as text or as bytes."""
    connection = await asyncpg.connect(dsn)
    found = {}
    for row in await connection.fetch(TABLES):
        name = row["table_name"]
        query = f"SELECT count(*) FROM orchestrator.{name} t WHERE t::text LIKE ANY ($1)"  # noqa: S608
        found[name] = await connection.fetchval(query, [f"%{CANARY}%", f"%{CANARY.encode().hex()}%"])
    await connection.close()
    return {name: count for name, count in found.items() if count}


async def refusal(service: Service, conversation: str = "c1", user: str = "ann") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await delete(service, conversation, user)
    return raised.value


async def begun(
    service: Service, **fields: object
) -> "grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]":
    call = service.stub.StreamChat(chat_request("held", **fields))
    async for chunk in call:
        if chunk.content.text:
            return call
    raise AssertionError("no text came")


def said(provider: ScriptedProvider) -> Sequence[str]:
    return [message["content"] for message in provider.ledger[-1].body["messages"][1:]]


async def test_every_trace_is_removed_and_the_runs_are_counted(service: Service) -> None:
    service.provider.enqueue(SINGS, SINGS, SINGS)
    for _ in range(3):
        await service.chat(f"what of the {CANARY}?", conversation_id="c1")
    await service.chat("something else", conversation_id="c2")
    assert {"runs", "run_events", "checkpoint_blobs"} <= set(await traces(service.dsn))
    assert await delete(service) == 3
    assert await traces(service.dsn) == {}
    await service.chat("again", conversation_id="c1")
    assert said(service.provider) == ["again"]
    await service.chat("on", conversation_id="c2")
    assert said(service.provider)[0] == "something else"


async def test_what_is_active_ends_first_and_its_reader_is_told(service: Service) -> None:
    service.provider.enqueue(HELD)
    call = await begun(service, conversation_id="c1")
    assert await delete(service) == 1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(call, [])
    assert raised.value.code() is grpc.StatusCode.CANCELLED
    assert await service.provider.ledger[0].ended() is Outcome.CLIENT_GONE


async def test_a_run_of_another_replica_ends_there(dsn: str, provider: ScriptedProvider) -> None:
    provider.enqueue(HELD)
    async with running_service(dsn, provider) as one, running_service(dsn, provider) as two:
        await begun(one, conversation_id="c1")
        assert await delete(two) == 1


async def test_a_turn_that_begins_meanwhile_finds_a_whole_conversation_or_none(service: Service) -> None:
    service.provider.default = SINGS
    for number in range(10):
        await service.chat(f"first {number}", conversation_id=f"c{number}")
        turn = asyncio.create_task(service.chat("second", conversation_id=f"c{number}"))
        deleting = asyncio.create_task(delete(service, f"c{number}"))
        answers = await asyncio.gather(turn, deleting, return_exceptions=True)
        assert not isinstance(answers[1], BaseException)
        if isinstance(answers[0], BaseException):  # it came first, and was cancelled
            assert isinstance(answers[0], grpc.aio.AioRpcError)
            assert answers[0].code() is grpc.StatusCode.CANCELLED
        await service.chat("third", conversation_id=f"c{number}")
        assert f"first {number}" not in said(service.provider)


async def test_what_is_unknown_or_somebody_elses_is_not_found_and_stays(service: Service) -> None:
    await service.chat("mine", conversation_id="c1")
    for values in (("unknown", "ann"), ("c1", "bob")):
        assert (await refusal(service, *values)).code() is grpc.StatusCode.NOT_FOUND
    assert await delete(service) == 1
    assert (await refusal(service)).code() is grpc.StatusCode.NOT_FOUND


async def test_bad_fields_are_named(service: Service) -> None:
    assert list(violations(await refusal(service, "", ""))) == ["user_id", "conversation_id"]


async def test_a_reader_of_a_deleted_run_is_told_that_it_is_gone(
    dsn: str, provider: ScriptedProvider
) -> None:
    """It reads on another replica, which nobody tells."""
    provider.enqueue(HELD)
    async with running_service(dsn, provider, run={"reap_seconds": 60.0}) as one:
        call = await begun(one, conversation_id="c1")
        request = pb.ResumeStreamRequest(user_id="ann", conversation_id="c1", after_sequence=1)
        request.stream_options.heartbeat_interval.FromMilliseconds(100)
        async with running_service(dsn, provider) as two:
            reader = aiter(two.stub.ResumeStream(request))
            await anext(reader)
            await _execute(dsn, "DELETE FROM orchestrator.runs")
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await asyncio.wait_for(collect(reader, []), 10)
        call.cancel()
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
