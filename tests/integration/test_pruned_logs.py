"""A reader whose next record is gone is told so before anything else."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from state.errors import NotFoundError
from state.event_log import EventLog
from state.models import Owner, RunId
from state.postgres.database import Database
from state.postgres.events import PostgresEventStore
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.retention import age, delete_old, retention_store, settled_service
from tests.harness.service import Service, chat_request, collect, running_service
from tests.harness.statuses import error_info


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    async with settled_service(dsn, provider) as service:
        yield service


@pytest.fixture
async def whole(service: Service) -> list[pb.ChatChunk]:
    """A run as it was read before most of its log went: status, content, content, complete."""
    service.provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.2))
    chunks = await service.chat(conversation_id="c1")
    assert len(chunks) >= 4
    return chunks


async def prune(service: Service) -> None:
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, events=9)


async def resumed(service: Service, **fields: object) -> list[pb.ChatChunk]:
    request = pb.ResumeStreamRequest(**{"user_id": "ann", **fields})  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        return [chunk async for chunk in service.stub.ResumeStream(request)]


async def test_a_pruned_log_begins_with_a_reset_and_ends_with_the_whole_answer(
    service: Service, whole: list[pb.ChatChunk]
) -> None:
    await prune(service)
    last = whole[-1]
    for after in (0, 1, last.sequence - 2):
        reset, *rest = await resumed(service, run_id=last.run_id, after_sequence=after)
        assert (reset.reset.reason, reset.reset.from_sequence) == (pb.RESET_REASON_PRUNED, last.sequence)
        assert (reset.sequence, reset.run_id, reset.agent_name) == (0, last.run_id, last.agent_name)
        assert reset.reset.attempt == 0
        assert (reset.type, bool(reset.message), bool(reset.timestamp)) == ("status", True, True)
        assert rest == [last]
        assert rest[0].complete.final_text == "one two three"


async def test_a_reader_whose_position_is_still_there_notices_nothing(
    service: Service, whole: list[pb.ChatChunk]
) -> None:
    await prune(service)
    end = whole[-1].sequence
    assert await resumed(service, run_id=whole[0].run_id, after_sequence=end - 1) == whole[-1:]
    assert await resumed(service, run_id=whole[0].run_id, after_sequence=end) == []
    assert await resumed(service, conversation_id="c1", after_sequence=end - 1) == whole[-1:]


async def test_what_is_left_is_told_from_where_it_begins(service: Service, whole: list[pb.ChatChunk]) -> None:
    await age(service.dsn, hours=10)
    async with retention_store(service.dsn, batch_rows=2) as store:
        await store.prune_events(60)
    reset, *rest = await resumed(service, run_id=whole[0].run_id)
    assert reset.reset.from_sequence == 3
    assert rest == whole[2:]
    assert await resumed(service, run_id=whole[0].run_id, after_sequence=2) == whole[2:]


async def test_structured_readers_get_the_reset_without_strings(
    service: Service, whole: list[pb.ChatChunk]
) -> None:
    await prune(service)
    options = pb.StreamOptions(structured_only=True)
    reset, _ = await resumed(service, run_id=whole[0].run_id, stream_options=options)
    assert (reset.type, reset.message, reset.reset.reason) == ("", "", pb.RESET_REASON_PRUNED)


async def test_beyond_the_end_of_a_pruned_log_is_still_out_of_range(
    service: Service, whole: list[pb.ChatChunk]
) -> None:
    await prune(service)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resumed(service, run_id=whole[0].run_id, after_sequence=whole[-1].sequence + 1)
    assert raised.value.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_a_failed_run_keeps_its_error_and_its_status(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)))
    whole: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request()), whole)
    await prune(service)
    chunks: list[pb.ChatChunk] = []
    request = pb.ResumeStreamRequest(user_id="ann", run_id=whole[0].run_id)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.ResumeStream(request), chunks)
    assert error_info(raised.value).reason == "PROVIDER_BROKEN"
    assert [chunk.WhichOneof("payload") for chunk in chunks] == ["reset", "error"]
    assert chunks[-1] == whole[-1]


async def test_a_run_that_was_deleted_is_not_found(service: Service, whole: list[pb.ChatChunk]) -> None:
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, idle=9, events=9, runs=9)
    for fields in ({"run_id": whole[0].run_id}, {"conversation_id": "c1"}):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await resumed(service, **fields)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_log_that_goes_between_finding_its_run_and_reading_it_is_not_found(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        log = EventLog(PostgresEventStore(database))
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(anext(log.read(Owner("ann"), RunId("0" * 32), ended=True)), 5)


async def test_the_server_tells_how_long_a_log_is_kept(dsn: str, provider: ScriptedProvider) -> None:
    async with running_service(dsn, provider, retention={"events_seconds": 90.0}) as service:
        info = await service.stub.GetServerInfo(pb.GetServerInfoRequest())
    assert info.event_retention.ToSeconds() == 90
