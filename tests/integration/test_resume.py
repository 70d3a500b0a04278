"""ResumeStream: a run's log from any position, by whoever owns it, on any replica."""

import asyncio

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.service import Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, violations

CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)


async def resumed(service: Service, **fields: object) -> list[pb.ChatChunk]:
    """Every chunk of one ResumeStream of ann."""
    request = pb.ResumeStreamRequest(**{"user_id": "ann", **fields})  # type: ignore[arg-type]
    return [chunk async for chunk in service.stub.ResumeStream(request)]


async def refusal(service: Service, **fields: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(resumed(service, **fields), 5)
    return raised.value


async def test_a_finished_run_is_replayed_from_any_position(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.05))
    chunks = await service.chat()
    for after in range(len(chunks)):
        assert await resumed(service, run_id=chunks[0].run_id, after_sequence=after) == chunks[after:]


async def test_a_caller_who_has_seen_the_end_gets_the_status_and_nothing_else(service: Service) -> None:
    service.provider.enqueue(Script(), Script(status=500))
    good = await service.chat()
    last = good[-1].sequence
    assert await asyncio.wait_for(resumed(service, run_id=good[0].run_id, after_sequence=last), 5) == []
    bad: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request()), bad)
    error = await refusal(service, run_id=bad[0].run_id, after_sequence=bad[-1].sequence)
    assert error_info(error).reason == "PROVIDER_UNAVAILABLE"


async def test_a_run_goes_on_where_its_lost_reader_stopped(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    call = service.stub.StreamChat(chat_request(run_options=CONTINUE))
    stream = aiter(call)
    seen = [await anext(stream), await anext(stream)]
    call.cancel()
    reading = asyncio.create_task(resumed(service, run_id=seen[0].run_id, after_sequence=seen[-1].sequence))
    upstream = await service.provider.call(1)
    upstream.release()
    rest = await reading
    assert text_of([*seen, *rest]) == rest[-1].complete.final_text == "one two three"
    assert [chunk.sequence for chunk in (*seen, *rest)] == list(range(1, len(seen) + len(rest) + 1))


async def test_leaving_a_resumed_stream_stops_nothing(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    chat = service.stub.StreamChat(chat_request())
    stream = aiter(chat)
    first = await anext(stream)
    second_reader = service.stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=first.run_id))
    assert await second_reader.read() == first
    second_reader.cancel()
    service.provider.release()
    assert text_of([chunk async for chunk in stream]) == "one two"
    assert await service.provider.ledger[0].ended() is Outcome.COMPLETED


async def test_a_conversation_stands_for_its_newest_run(service: Service) -> None:
    await service.chat("first", conversation_id="c1")
    newest = await service.chat("second", conversation_id="c1")
    assert await resumed(service, conversation_id="c1") == newest


async def test_a_log_is_read_on_another_replica_while_the_run_writes_it(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    async with running_service(dsn, provider) as first, running_service(dsn, provider) as second:
        chat = aiter(first.stub.StreamChat(chat_request()))
        seen = [await anext(chat), await anext(chat)]
        elsewhere = aiter(
            second.stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=seen[0].run_id))
        )
        assert [await anext(elsewhere), await anext(elsewhere)] == seen
        provider.release()
        here, there = [chunk async for chunk in chat], [chunk async for chunk in elsewhere]
    assert here == there
    assert text_of([*seen, *there]) == "one two three"


async def test_a_failed_run_is_replayed_with_its_error_and_status(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)))
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request()), chunks)
    again: list[pb.ChatChunk] = []
    request = pb.ResumeStreamRequest(user_id="ann", run_id=chunks[0].run_id)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.ResumeStream(request), again)
    assert again == chunks
    assert error_info(raised.value).reason == "PROVIDER_BROKEN"


async def test_beyond_the_end_is_out_of_range(service: Service) -> None:
    chunks = await service.chat()
    error = await refusal(service, run_id=chunks[0].run_id, after_sequence=len(chunks) + 1)
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert error_info(error).metadata["last_sequence"] == str(len(chunks))


@pytest.mark.parametrize(
    "fields", [{"run_id": "0" * 32}, {"run_id": "no id"}, {"conversation_id": "unknown"}]
)
async def test_what_is_unknown_is_not_found(service: Service, fields: dict[str, str]) -> None:
    assert (await refusal(service, **fields)).code() is grpc.StatusCode.NOT_FOUND


async def test_somebody_elses_run_is_not_found(service: Service) -> None:
    chunks = await service.chat(conversation_id="c1")
    for fields in ({"run_id": chunks[0].run_id}, {"conversation_id": "c1"}):
        error = await refusal(service, user_id="bob", **fields)
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_bad_fields_are_named(service: Service) -> None:
    error = await refusal(service, user_id="", after_sequence=-1)
    assert list(violations(error)) == ["user_id", "run_id", "after_sequence"]
