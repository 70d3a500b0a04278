"""The database goes away in the middle of a run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import answering, narrow
from tests.harness.proxy import TcpProxy
from tests.harness.service import chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay

BEATS = {"heartbeat_seconds": 0.1}
SHORT = {"lease_seconds": 1.0, "beat_seconds": 0.3, "reap_seconds": 0.1}


async def until_text(stream: AsyncIterator[pb.ChatChunk]) -> list[pb.ChatChunk]:
    """The chunks up to the first with text, without the heartbeats of a slow machine."""
    chunks = [await anext(stream)]
    while not chunks[-1].content.text:
        chunks.append(await anext(stream))
    return [chunk for chunk in chunks if not chunk.HasField("heartbeat")]


async def test_a_stream_pauses_with_heartbeats_while_the_database_is_away_and_then_goes_on(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider, stream=BEATS) as service:
        stream = aiter(service.stub.StreamChat(chat_request("kept", conversation_id="c1")))
        chunks = await until_text(stream)
        await proxy.cut()
        provider.release()
        assert await provider.ledger[0].ended() is Outcome.COMPLETED
        for _ in range(3):
            assert (await anext(stream)).WhichOneof("payload") == "heartbeat"
        await proxy.restore()
        chunks += [chunk async for chunk in stream if not chunk.HasField("heartbeat")]
        assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
        assert text_of(chunks) == chunks[-1].complete.final_text == "one two three"
        await service.chat("again", conversation_id="c1")
    assert [m["content"] for m in provider.ledger[1].body["messages"][1:]] == [
        "kept",
        "one two three",
        "again",
    ]


async def test_a_reader_elsewhere_outlasts_an_outage_of_its_database(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    async with (
        TcpProxy.to(dsn) as proxy,
        running_service(dsn, provider) as here,
        running_service(proxy.dsn, provider, stream=BEATS) as elsewhere,
    ):
        writing = aiter(here.stub.StreamChat(chat_request()))
        chunks = await until_text(writing)
        request = pb.ResumeStreamRequest(user_id="ann", run_id=chunks[0].run_id)
        stream = aiter(elsewhere.stub.ResumeStream(request))
        seen = await until_text(stream)
        await proxy.cut()
        provider.release()
        chunks += [chunk async for chunk in writing]
        assert (await anext(stream)).WhichOneof("payload") == "heartbeat"
        await proxy.restore()
        seen += [chunk async for chunk in stream if not chunk.HasField("heartbeat")]
    assert seen == chunks


LONG = Script(tokens=("one", *[" more"] * 100), hold_after=1, token_interval=0.05)


async def test_a_stream_whose_log_cannot_be_written_ends_typed_and_frees_the_provider(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG)
    brief = {"outage_seconds": 0.5}
    async with (
        TcpProxy.to(dsn) as proxy,
        running_service(proxy.dsn, provider, run=SHORT, database=brief) as service,
    ):
        stream = aiter(service.stub.StreamChat(chat_request("lost", conversation_id="c1")))
        chunks = await until_text(stream)
        await proxy.cut()
        provider.release()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        assert retry_delay(raised.value) is not None
        assert text_of(chunks) == "one"
        assert await provider.ledger[0].ended(within=2.0) is Outcome.CLIENT_GONE
        await proxy.restore()
        # The lost run holds its conversation until its lease is over.
        wait = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)
        await service.chat("again", conversation_id="c1", run_options=wait)
        assert [m["content"] for m in provider.ledger[1].body["messages"][1:]] == ["again"]


async def test_no_more_of_an_answer_is_read_than_may_wait_in_memory(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(LONG)
    small = {"buffer_characters": 20}
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider, stream=small) as service:
        stream = aiter(service.stub.StreamChat(chat_request()))
        chunks = await until_text(stream)
        await proxy.cut()
        provider.release()
        assert await provider.ledger[0].ended(within=3.0) is Outcome.CLIENT_GONE
        await proxy.restore()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
    assert error_info(raised.value).reason == chunks[-1].error.reason == "DATABASE_UNAVAILABLE"
    assert chunks[-1].metadata["partial"] == "true"
    assert len(text_of(chunks)) < 100


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
GRANT USAGE ON SEQUENCE orchestrator.inserts TO PUBLIC;
CREATE FUNCTION orchestrator.fail_third() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence is not rolled back, so the next try passes.
    IF nextval('orchestrator.inserts') = 3 THEN RAISE SQLSTATE '57014'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail_third BEFORE INSERT ON orchestrator.run_events
    FOR EACH STATEMENT EXECUTE FUNCTION orchestrator.fail_third();
"""


async def test_an_append_that_failed_once_is_written_again_without_a_gap(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.2))
    await _execute(dsn, FAIL_THE_THIRD_INSERT)
    async with running_service(dsn, provider) as service:
        chunks = await service.chat()
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert text_of(chunks) == chunks[-1].complete.final_text == "one two three"


async def test_an_append_that_fails_leaves_no_gap_and_keeps_the_partial_answer(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Without patience, what one statement should have written is written with the end."""
    provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.2))
    await _execute(dsn, FAIL_THE_THIRD_INSERT)
    async with running_service(dsn, provider, database={"outage_seconds": 0.0}) as service:
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(service.stub.StreamChat(chat_request()), chunks)
    assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
    assert [chunk.sequence for chunk in chunks] == [1, 2, 3, 4, 5]
    assert text_of(chunks) == "one two"
    assert chunks[-1].metadata["partial"] == "true"
    connection = await asyncpg.connect(dsn)
    sequences = await connection.fetch("SELECT sequence FROM orchestrator.run_events ORDER BY sequence")
    assert [row["sequence"] for row in sequences] == [1, 2, 3, 4, 5]
    assert await connection.fetchval("SELECT result FROM orchestrator.runs") == "one two"
    await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


SLOW_COMMIT = """
CREATE FUNCTION orchestrator.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
-- Deferred: it is the commit that takes long, and nothing stops it once it has begun.
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orchestrator.runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION orchestrator.slow();
"""
ASLEEP = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


async def test_a_run_whose_beginning_nobody_heard_of_holds_its_conversation_only_for_a_moment(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Far shorter than its lease: nobody executes it, and this process knows that."""
    patient = {"lease_seconds": 60.0, "reap_seconds": 0.1}
    connection = await asyncpg.connect(dsn)
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider, run=patient) as service:
        await connection.execute(SLOW_COMMIT)
        call = service.stub.StreamChat(chat_request("unheard", conversation_id="c1"))
        reading = asyncio.create_task(collect(call, []))
        async with asyncio.timeout(5):
            while not await connection.fetch(ASLEEP):  # noqa: ASYNC110 - the database's own table
                await asyncio.sleep(0.01)
        await proxy.cut()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await reading
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        await connection.execute("DROP TRIGGER slow ON orchestrator.runs")
        await proxy.restore()
        waits = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)
        async with asyncio.timeout(15):
            chunks = await service.chat("heard", conversation_id="c1", run_options=waits)
        assert chunks[-1].HasField("complete")
    states = await connection.fetch("SELECT state FROM orchestrator.runs ORDER BY create_time")
    await connection.close()
    assert [row["state"] for row in states] == ["failed", "succeeded"]


SLOW_APPEND = """
CREATE FUNCTION orchestrator.slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON orchestrator.run_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.run_id = '%s')
    EXECUTE FUNCTION orchestrator.slow();
"""


async def test_a_task_taken_from_the_line_in_the_moment_of_an_outage_is_done_all_the_same(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(dsn)
    brief = {"outage_seconds": 0.2}
    async with (
        TcpProxy.to(dsn) as proxy,
        narrow(proxy.dsn, provider, tmp_path, run=SHORT, database=brief) as service,
    ):
        first = await answering(service)
        request = pb.TaskRequest(user_id="ann", query="accepted")
        task = await service.stub.StartTask(request)
        await connection.execute(SLOW_APPEND % task.task_id)
        provider.release()
        await collect(first, [])
        async with asyncio.timeout(5):
            while not await connection.fetch(ASLEEP):  # noqa: ASYNC110 - the database's own table
                await asyncio.sleep(0.01)
        await proxy.cut()
        await connection.execute("DROP TRIGGER slow ON orchestrator.run_events")
        await proxy.restore()
        wanted = pb.WatchTaskRequest(user_id="ann", task_id=task.task_id)
        async with asyncio.timeout(20):
            seen = [response async for response in service.stub.WatchTask(wanted)]
    await connection.close()
    assert seen[-1].snapshot.state == pb.TASK_STATE_SUCCEEDED
    assert seen[-1].snapshot.attempt == 2
