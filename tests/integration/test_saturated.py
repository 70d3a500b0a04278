"""No provider has room: a turn waits in line and is told where it stands, or is refused at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import Call, answering, in_line, narrow, said
from tests.harness.service import Service, chat_request, collect, text_of
from tests.harness.statuses import error_info, retry_delay

FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
START_TASK = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_START_TASK)


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Service]:
    async with narrow(dsn, provider, tmp_path) as service:
        yield service


async def failure(call: Call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asyncio.wait_for(collect(call, []), 10)
    return raised.value


async def test_a_turn_waits_is_told_its_place_and_is_answered_when_there_is_room(service: Service) -> None:
    first = await answering(service)
    call, told = await in_line(service)
    assert (told.status.state, told.status.queue_position, told.sequence) == (pb.TASK_STATE_QUEUED, 1, 0)
    assert said(service.provider) == ["held"]
    service.provider.release()
    chunks = [chunk async for chunk in call]
    assert chunks[-1].complete.final_text == text_of(chunks)
    assert text_of([chunk async for chunk in first]) == " two"
    assert said(service.provider) == ["held", "waits"]


async def test_the_log_of_a_turn_that_waited_has_no_gap_and_can_be_read_again(service: Service) -> None:
    await answering(service)
    call = service.stub.StreamChat(chat_request("waits"))
    chunks: list[pb.ChatChunk] = []
    async for chunk in call:
        chunks.append(chunk)
        if chunk.status.queue_position:
            service.provider.release()
    logged = [chunk for chunk in chunks if chunk.sequence]
    assert [chunk.sequence for chunk in logged] == list(range(1, len(logged) + 1))
    assert [c.status.state for c in logged if c.HasField("status")] == [
        pb.TASK_STATE_QUEUED,
        pb.TASK_STATE_RUNNING,
    ]
    assert logged[0].metadata["conversation_id"]
    request = pb.ResumeStreamRequest(user_id="ann", run_id=chunks[0].run_id)
    assert [chunk async for chunk in service.stub.ResumeStream(request)] == logged


async def test_a_turn_that_will_not_wait_is_refused_at_once_and_leaves_nothing(service: Service) -> None:
    await answering(service)
    error = await failure(service.stub.StreamChat(chat_request("no", run_options=FAIL, conversation_id="c")))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(error).reason == "PROVIDER_SATURATED"
    assert retry_delay(error) is not None
    request = pb.ResumeStreamRequest(user_id="ann", conversation_id="c")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.stub.ResumeStream(request).read()
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("where", ["the request", "the setting"])
async def test_who_has_waited_long_enough_is_refused(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, where: str
) -> None:
    options = pb.RunOptions(max_wait=Duration(nanos=300_000_000)) if where == "the request" else None
    run = {"max_wait_seconds": 0.3} if where == "the setting" else {}
    async with narrow(dsn, provider, tmp_path, run=run) as service:
        await answering(service)
        call = service.stub.StreamChat(chat_request("waits", run_options=options))
        chunks: list[pb.ChatChunk] = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asyncio.wait_for(collect(call, chunks), 10)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert chunks[-1].error.reason == error_info(raised.value).reason == "PROVIDER_SATURATED"
        assert await service.run_ended(chunks[0].run_id) == "failed"
        assert len(provider.ledger) == 1


async def test_who_leaves_the_line_is_not_called_for(service: Service) -> None:
    first = await answering(service)
    gone, told = await in_line(service, "gone")
    stays, _ = await in_line(service, "stays", user_id="bob")
    gone.cancel()
    assert await service.run_ended(told.run_id) == "cancelled"
    service.provider.release()
    await collect(stays, [])
    await collect(first, [])
    assert said(service.provider) == ["held", "stays"]


async def test_who_told_it_to_continue_is_answered_though_gone(service: Service) -> None:
    await answering(service)
    gone, told = await in_line(service, "kept", run_options=CONTINUE)
    gone.cancel()
    service.provider.release()
    assert await service.run_ended(told.run_id) == "succeeded"
    assert said(service.provider) == ["held", "kept"]


async def test_nobody_overtakes_those_in_line(service: Service) -> None:
    await answering(service)
    calls = [(await in_line(service, f"turn {n}", user_id=f"user-{n}"))[0] for n in range(3)]
    service.provider.release()
    await asyncio.gather(*(collect(call, []) for call in calls))
    assert said(service.provider) == ["held", "turn 0", "turn 1", "turn 2"]


async def test_a_turn_in_line_holds_its_conversation(service: Service) -> None:
    await answering(service)
    _, told = await in_line(service, conversation_id="c1")
    error = await failure(service.stub.StreamChat(chat_request("second", conversation_id="c1")))
    assert error_info(error).reason == "CONVERSATION_BUSY"
    assert error_info(error).metadata["run_id"] == told.run_id


async def test_a_run_is_served_by_the_replica_that_has_room(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with narrow(dsn, provider, tmp_path) as full, narrow(dsn, provider, tmp_path) as free:
        await answering(full)
        provider.default = Script(tokens=("well",))
        chunks = await asyncio.wait_for(full.chat("waits", user_id="bob"), 10)
        assert text_of(chunks) == "well"
        del free


async def test_a_turn_that_the_provider_refuses_waits_as_long_as_it_says(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=1))
    began = asyncio.get_running_loop().time()
    chunks = await service.chat("refused")
    assert asyncio.get_running_loop().time() - began >= 0.8
    assert chunks[-1].complete.final_text == text_of(chunks)
    assert said(service.provider) == ["refused", "refused"]
    logged = [chunk.sequence for chunk in chunks if chunk.sequence]
    assert logged == list(range(1, len(logged) + 1))


async def test_who_comes_after_a_refused_turn_stands_behind_it(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=3))
    first, told = await in_line(service, "first")
    second, behind = await in_line(service, "second", user_id="bob")
    assert (told.status.queue_position, behind.status.queue_position) == (1, 2)
    await asyncio.gather(collect(first, []), collect(second, []))
    assert said(service.provider) == ["first", "first", "second"]


async def test_a_refused_turn_whose_caller_leaves_is_not_called_for_again(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=3))
    gone, told = await in_line(service, "gone")
    gone.cancel()
    assert await service.run_ended(told.run_id) == "cancelled"
    assert said(service.provider) == ["gone"]


async def test_a_refused_turn_waits_no_longer_than_any_other(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=60))
    options = pb.RunOptions(max_wait=Duration(nanos=500_000_000))
    error = await failure(service.stub.StreamChat(chat_request("waits", run_options=options)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(error).reason == "PROVIDER_SATURATED"
    assert (retry_delay(error) or 0) > 30


async def test_a_refused_turn_that_will_not_wait_fails(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=60))
    error = await failure(service.stub.StreamChat(chat_request("no", run_options=FAIL)))
    assert error_info(error).reason == "PROVIDER_SATURATED"
    assert said(service.provider) == ["no"]


async def test_a_turn_that_cannot_make_its_deadline_is_refused_at_once_and_leaves_nothing(
    service: Service,
) -> None:
    first = await answering(service)
    service.provider.default = Script(tokens=("a", "b"), token_interval=0.5)
    served = [await in_line(service, f"served {n}", user_id=f"user-{n}") for n in range(4)]
    service.provider.release()
    await asyncio.gather(collect(first, []), *(collect(call, []) for call, _ in served))
    await answering(service)  # about one a second was served: the line knows that now
    behind = [await in_line(service, f"behind {n}", user_id=f"later-{n}") for n in range(3)]
    began = asyncio.get_running_loop().time()
    call = service.stub.StreamChat(chat_request("late", conversation_id="late"), timeout=0.9)
    error = await failure(call)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asyncio.get_running_loop().time() - began < 0.9
    service.provider.release()
    await asyncio.gather(*(collect(call, []) for call, _ in behind))
    assert "late" not in said(service.provider)


async def test_what_a_request_says_of_its_chunks_holds_for_a_turn_that_waited(service: Service) -> None:
    first = await answering(service)
    options = pb.StreamOptions(coalesce_window=Duration(seconds=1))
    call, _ = await in_line(service, stream_options=options)
    service.provider.default = Script(tokens=tuple("abcdefgh"), token_interval=0.02)
    service.provider.release()
    texts = [chunk.content.text async for chunk in call if chunk.content.text]
    assert texts == ["a", "bcdefgh"]
    await collect(first, [])


async def test_a_turn_becomes_a_task_when_it_would_have_to_wait(service: Service) -> None:
    first = await answering(service)
    chunks = await service.chat("later", run_options=START_TASK)
    queued, done = chunks[0], chunks[-1]
    assert (done.sequence, done.complete.finish_reason) == (0, pb.FINISH_REASON_QUEUED)
    assert done.complete.task_id == done.run_id
    assert len(chunks) == 1 or queued.status.state == pb.TASK_STATE_QUEUED
    service.provider.release()
    await collect(first, [])
    assert await service.run_ended(done.complete.task_id) == "succeeded"
    task = await service.stub.GetTaskStatus(
        pb.TaskStatusRequest(user_id="ann", task_id=done.complete.task_id)
    )
    assert task.state == pb.TASK_STATE_SUCCEEDED
    listed = await service.stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
    assert [one.task_id for one in listed.tasks] == [task.task_id]


async def test_a_turn_for_which_there_is_room_becomes_no_task(service: Service) -> None:
    chunks = await service.chat(run_options=START_TASK)
    assert chunks[-1].complete.final_text == text_of(chunks)
    assert not (await service.stub.ListTasks(pb.ListTasksRequest(user_id="ann"))).tasks
