"""Several processes on one database: what one leaves another settles or goes on with, never twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from state.models import ReplicaId
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.service import Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay

CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
SHORT = {"lease_seconds": 1.0, "beat_seconds": 0.3, "reap_seconds": 0.1}
HELD = Script(tokens=("one", " two", " three"), hold_after=1)
WHOLE = Script(tokens=("one", " two", " three"))


@asynccontextmanager
async def other_process(
    folder: Path, dsn: str, provider: ScriptedProvider, *, drain_seconds: float = 5.0
) -> AsyncIterator[tuple[OrchestratorProcess, "rpc.OrchestratorServiceAsyncStub"]]:
    """A replica that a test may kill or stop."""
    drain = {"ORCHESTRATOR_SERVER__DRAIN_SECONDS": str(drain_seconds)}
    environment = drain | {f"ORCHESTRATOR_RUN__{name.upper()}": str(value) for name, value in SHORT.items()}
    async with (
        orchestrator_process(
            folder, DATABASE_URL=dsn, OPENAI_BASE_URL=provider.base_url, **environment
        ) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        yield process, rpc.OrchestratorServiceStub(channel)


async def first_text(call: "grpc.aio.UnaryStreamCall[pb.ChatRequest, pb.ChatChunk]") -> str:
    """Read until there is text; the run's id."""
    async for chunk in call:
        if chunk.content.text:
            return chunk.run_id
    raise AssertionError("no text came")


def resume(service: Service, run_id: str) -> "grpc.aio.UnaryStreamCall[pb.ResumeStreamRequest, pb.ChatChunk]":
    return service.stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=run_id), timeout=20)


def text_left(chunks: list[pb.ChatChunk]) -> str:
    """The text a reader shows who discards what a reset says."""
    shown: list[pb.ChatChunk] = []
    for chunk in chunks:
        if chunk.HasField("reset"):
            shown = [c for c in shown if c.sequence < chunk.reset.from_sequence]
        shown.append(chunk)
    return text_of(shown)


async def row(dsn: str, run_id: str) -> asyncpg.Record:
    connection = await asyncpg.connect(dsn)
    found = await connection.fetchrow("SELECT * FROM orchestrator.runs WHERE run_id = $1", UUID(run_id))
    await connection.close()
    assert found is not None
    return found


async def test_a_chat_whose_process_was_killed_ends_as_worker_lost(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(HELD)
    async with running_service(dsn, provider, run=SHORT) as survivor:
        async with other_process(tmp_path, dsn, provider) as (process, stub):
            run_id = await first_text(stub.StreamChat(chat_request()))
            await process.kill()
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(resume(survivor, run_id), chunks)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error_info(raised.value).reason == chunks[-1].error.reason == "WORKER_LOST"
    assert retry_delay(raised.value) is not None
    assert [chunk.sequence for chunk in chunks] == [1, 2, 3, 4]
    assert (await row(dsn, run_id))["state"] == "failed"


async def test_a_chat_that_continues_goes_on_elsewhere_when_its_process_was_killed(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(HELD, WHOLE)
    async with running_service(dsn, provider, run=SHORT) as survivor:
        async with other_process(tmp_path, dsn, provider) as (process, stub):
            call = stub.StreamChat(chat_request("hello", conversation_id="c1", run_options=CONTINUE))
            run_id = await first_text(call)
            await process.kill()
        chunks = [chunk async for chunk in resume(survivor, run_id)]
        await survivor.chat("again", conversation_id="c1")
    resets = [chunk for chunk in chunks if chunk.HasField("reset")]
    assert [(r.reset.reason, r.reset.attempt) for r in resets] == [(pb.RESET_REASON_NEW_ATTEMPT, 2)]
    assert text_left(chunks) == chunks[-1].complete.final_text == "one two three"
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert (await row(dsn, run_id))["attempt"] == 2
    said = [m["content"] for m in provider.ledger[2].body["messages"][1:]]
    assert said == ["hello", "one two three", "again"]


async def test_a_process_that_was_paused_past_its_lease_can_change_nothing(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(HELD)
    async with running_service(dsn, provider, run=SHORT) as survivor:
        async with other_process(tmp_path, dsn, provider) as (process, stub):
            call = stub.StreamChat(chat_request("lost", conversation_id="c1"))
            run_id = await first_text(call)
            os.kill(process.pid, signal.SIGSTOP)
            assert await survivor.run_ended(run_id) == "failed"
            before = await row(dsn, run_id)
            os.kill(process.pid, signal.SIGCONT)
            provider.release()
            with pytest.raises(grpc.aio.AioRpcError):
                await collect(call, [])
            assert await row(dsn, run_id) == before
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError):
            await collect(resume(survivor, run_id), chunks)
        assert [chunk.HasField("error") for chunk in chunks] == [False, False, False, True]
        await survivor.chat("next", conversation_id="c1")
    assert [m["content"] for m in provider.ledger[-1].body["messages"][1:]] == ["next"]


async def test_a_drained_chat_that_continues_is_handed_to_another_replica(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(HELD, WHOLE)
    seen: list[pb.ChatChunk] = []
    async with running_service(dsn, provider, run=SHORT) as survivor:
        async with other_process(tmp_path, dsn, provider, drain_seconds=0.1) as (process, stub):
            call = stub.StreamChat(chat_request(run_options=CONTINUE))
            run_id = await first_text(call)
            stopping = asyncio.create_task(process.stop())
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await collect(call, seen)
            assert await stopping == 0
        chunks = [chunk async for chunk in resume(survivor, run_id)]
    assert error_info(raised.value).reason == "DRAINING"
    assert not [chunk for chunk in seen if chunk.HasField("error")]
    assert text_left(chunks) == chunks[-1].complete.final_text == "one two three"


async def test_an_answer_that_was_complete_is_not_asked_for_again(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Writing the end fails once, after the conversation was kept; the next attempt finds the answer."""
    await _execute(dsn, FAIL_THE_FIRST_END)
    provider.enqueue(WHOLE)
    async with running_service(dsn, provider, run=SHORT, database={"outage_seconds": 0.0}) as service:
        call = service.stub.StreamChat(chat_request("hello", conversation_id="c1", run_options=CONTINUE))
        run_id = await first_text(call)
        with pytest.raises(grpc.aio.AioRpcError):
            await collect(call, [])
        assert await service.run_ended(run_id) == "succeeded"
        chunks = [chunk async for chunk in resume(service, run_id)]
        await service.chat("again", conversation_id="c1")
    assert text_left(chunks) == chunks[-1].complete.final_text == "one two three"
    assert len(provider.ledger) == 2
    said = [m["content"] for m in provider.ledger[1].body["messages"][1:]]
    assert said == ["hello", "one two three", "again"]


async def test_nothing_is_settled_before_a_whole_lease_was_watched(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(HELD)
    async with other_process(tmp_path, dsn, provider) as (process, stub):
        run_id = await first_text(stub.StreamChat(chat_request()))
        await process.kill()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with running_service(dsn, provider, run={**SHORT, "lease_seconds": 1.5}) as service:
        assert await service.run_ended(run_id) == "failed"
    assert loop.time() - began >= 1.4


FAIL_THE_FIRST_END = """
CREATE SEQUENCE orchestrator.ends;
GRANT USAGE ON SEQUENCE orchestrator.ends TO PUBLIC;
CREATE FUNCTION orchestrator.fail_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('orchestrator.ends') = 1 THEN RAISE SQLSTATE '57014'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail_first BEFORE UPDATE ON orchestrator.runs
    FOR EACH ROW WHEN (NEW.state = 'succeeded') EXECUTE FUNCTION orchestrator.fail_first();
"""


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


async def test_a_short_lease_is_no_reason_to_forget_a_replica_that_beats(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        leases = PostgresLeases(database, database, ReplicaId("1" * 32), version="test")
        await leases.beat(6.0)
        await leases.reap(0.9, [], (), lambda run: None)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM replicas") == 1
