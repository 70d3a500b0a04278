"""The database goes away in the middle of a run."""

import asyncio

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.proxy import TcpProxy
from tests.harness.service import chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay

SHORT = {"lease_seconds": 1.0, "beat_seconds": 0.3, "reap_seconds": 0.1}


async def test_a_stream_whose_log_cannot_be_written_ends_typed_and_frees_the_provider(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider, run=SHORT) as service:
        chunks: list[pb.ChatChunk] = []
        stream = aiter(service.stub.StreamChat(chat_request("lost", conversation_id="c1")))
        chunks += [await anext(stream), await anext(stream)]
        await proxy.cut()
        provider.release()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        assert retry_delay(raised.value) is not None
        assert text_of(chunks) == "one"
        upstream = await provider.call(1)
        assert await upstream.ended(within=2.0) in (Outcome.CLIENT_GONE, Outcome.COMPLETED)
        await proxy.restore()
        # The lost run holds its conversation until its lease is over.
        wait = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)
        await service.chat("again", conversation_id="c1", run_options=wait)
        assert [m["content"] for m in provider.ledger[1].body["messages"][1:]] == ["again"]


async def test_a_run_that_cannot_be_committed_is_refused_and_its_model_call_given_up(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.default = Script(tokens=("a",), hold_after=0)
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider) as service:
        await proxy.cut()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat()
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        for call in provider.ledger:
            assert await call.ended(within=2.0) is Outcome.CLIENT_GONE


async def test_a_database_that_refuses_a_run_in_an_unforeseen_way_is_an_internal_error_and_no_hang(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider) as service:
        await _execute(dsn, "ALTER TABLE orchestrator.runs RENAME COLUMN request TO renamed")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asyncio.wait_for(service.chat(), 10)
        assert raised.value.code() is grpc.StatusCode.INTERNAL
        assert "request" not in (raised.value.details() or "")
        await _execute(dsn, "ALTER TABLE orchestrator.runs RENAME COLUMN renamed TO request")
        assert text_of(await service.chat())


FAIL_THE_THIRD_INSERT = """
CREATE SEQUENCE orchestrator.inserts;
CREATE FUNCTION orchestrator.fail_third() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence is not rolled back, so the next try passes.
    IF nextval('orchestrator.inserts') = 3 THEN RAISE SQLSTATE '57014'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_third BEFORE INSERT ON orchestrator.run_events
    FOR EACH STATEMENT EXECUTE FUNCTION orchestrator.fail_third();
"""


async def test_an_append_that_fails_leaves_no_gap_and_keeps_the_partial_answer(
    dsn: str, provider: ScriptedProvider
) -> None:
    """One statement fails while the database lives: what it should have written is written with the end."""
    provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.2))
    await _execute(dsn, FAIL_THE_THIRD_INSERT)
    async with running_service(dsn, provider) as service:
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(service.stub.StreamChat(chat_request()), chunks)
    assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
    assert [chunk.sequence for chunk in chunks] == [1, 2, 3, 4]
    assert text_of(chunks) == "one two"
    assert chunks[-1].metadata["partial"] == "true"
    connection = await asyncpg.connect(dsn)
    sequences = await connection.fetch("SELECT sequence FROM orchestrator.run_events ORDER BY sequence")
    assert [row["sequence"] for row in sequences] == [1, 2, 3, 4]
    assert await connection.fetchval("SELECT result FROM orchestrator.runs") == "one two"
    await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()
