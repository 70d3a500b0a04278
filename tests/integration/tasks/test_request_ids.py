"""A request that says which it is begins one run, however often it comes."""

import asyncio
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import answering, narrow, said
from tests.harness.retention import age
from tests.harness.service import Service, chat_request, collect, text_of
from tests.harness.statuses import error_info
from tests.integration.tasks.asking import ended, refused, start, status


@pytest.mark.parametrize("calls", [1, 50])
async def test_many_calls_with_one_key_are_one_task(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, calls: int
) -> None:
    async with narrow(dsn, provider, tmp_path, calls=calls) as service:
        held = await answering(service)
        responses = await asyncio.gather(*(start(service, request_id="r-1") for _ in range(20)))
        assert len({response.task_id for response in responses}) == 1
        assert sum(not response.deduplicated for response in responses) == 1
        service.provider.release()
        await collect(held, [])
        await ended(service, responses[0].task_id)
    assert said(provider).count("work") == 1


async def test_the_same_key_for_something_else_is_refused(roomy: Service) -> None:
    await start(roomy, request_id="r-1")
    other = pb.TaskRequest(user_id="ann", query="other", request_id="r-1")
    error = await refused(roomy.stub.StartTask(other))
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error_info(error).reason == "IDEMPOTENCY_KEY_REUSED"


async def test_a_key_is_its_users_and_its_methods_own(roomy: Service) -> None:
    task = await start(roomy, request_id="r-1")
    other = await start(roomy, request_id="r-1", user_id="bob")
    chunks = await roomy.chat("work", request_id="r-1")
    assert len({task.task_id, other.task_id, chunks[0].run_id}) == 3


async def test_a_task_that_never_began_gives_its_key_back(small: Service) -> None:
    held = await answering(small)
    first = await start(small, request_id="r-1")
    await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=first.task_id))
    again = await start(small, request_id="r-1")
    assert (again.task_id != first.task_id, again.deduplicated) == (True, False)
    small.provider.release()
    await collect(held, [])


async def test_a_key_is_free_again_after_a_day(roomy: Service) -> None:
    """Also while retention has not deleted it yet."""
    task = await start(roomy, request_id="r-1")
    await ended(roomy, task.task_id)
    await age(roomy.dsn, hours=23)
    assert (await start(roomy, request_id="r-1")).deduplicated
    await age(roomy.dsn, hours=2)
    again = await start(roomy, request_id="r-1")
    assert (again.task_id != task.task_id, again.deduplicated) == (True, False)


async def test_a_task_that_failed_is_replayed_with_its_error(roomy: Service) -> None:
    roomy.provider.enqueue(Script(status=400))
    task = await start(roomy, request_id="r-1")
    await ended(roomy, task.task_id)
    again = await start(roomy, request_id="r-1")
    assert (again.task_id, again.deduplicated, again.state) == (task.task_id, True, pb.TASK_STATE_FAILED)


async def test_a_turn_that_comes_again_attaches_to_its_run(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    options = pb.StreamOptions(structured_only=True)
    first = roomy.stub.StreamChat(chat_request(request_id="r-1"))
    chunks: list[pb.ChatChunk] = []
    reading = asyncio.create_task(collect(first, chunks))
    await (await roomy.provider.call(1)).sent(1)
    second = roomy.stub.StreamChat(chat_request(request_id="r-1", stream_options=options))
    again: list[pb.ChatChunk] = []
    async for chunk in second:
        roomy.provider.release()
        again.append(chunk)
    await reading
    assert [(c.run_id, c.sequence) for c in again] == [(c.run_id, c.sequence) for c in chunks]
    assert text_of(again) == "one two"
    after = await roomy.chat(request_id="r-1")
    assert after == chunks
    assert len(roomy.provider.ledger) == 1


async def test_who_attached_may_leave_and_changes_nothing(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    first = roomy.stub.StreamChat(chat_request(request_id="r-1"))
    chunks: list[pb.ChatChunk] = []
    reading = asyncio.create_task(collect(first, chunks))
    await (await roomy.provider.call(1)).sent(1)
    second = roomy.stub.StreamChat(chat_request(request_id="r-1"))
    await second.initial_metadata()
    second.cancel()
    roomy.provider.release()
    await reading
    assert text_of(chunks) == "one two"


async def test_two_same_turns_that_wait_for_the_one_before_are_one(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    waits = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)
    first = roomy.stub.StreamChat(chat_request("first", conversation_id="c1"))
    reading = asyncio.create_task(collect(first, []))
    await (await roomy.provider.call(1)).sent(1)
    same = [
        asyncio.create_task(roomy.chat("second", conversation_id="c1", request_id="r-1", run_options=waits))
        for _ in range(3)
    ]
    await asyncio.sleep(0.2)  # all of them have been told that the conversation is busy
    roomy.provider.release()
    await reading
    texts = [text_of(chunks) for chunks in await asyncio.gather(*same)]
    assert len(set(texts)) == 1
    assert said(roomy.provider) == ["first", "second"]


async def test_a_retry_with_a_key_is_one_new_task(roomy: Service) -> None:
    roomy.provider.enqueue(Script(status=400))
    task = await start(roomy)
    await ended(roomy, task.task_id)
    request = pb.RetryTaskRequest(user_id="ann", task_id=task.task_id, request_id="again")
    retried = {(await roomy.stub.RetryTask(request)).task.task_id for _ in range(3)}
    assert len(retried) == 1
    assert (await status(roomy, retried.pop())).retry_of == task.task_id
