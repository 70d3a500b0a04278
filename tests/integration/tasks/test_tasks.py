"""Tasks through gRPC: accepted at once, done when there is room, asked about until then and after."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.narrow import answering, narrow, said
from tests.harness.service import Service, collect, text_of
from tests.harness.statuses import error_info, retry_delay
from tests.integration.tasks.asking import ended, refused, start, status, watched


async def test_a_task_for_which_there_is_room_is_running_when_its_id_is_returned(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("done", "."), hold_after=1))
    task = await start(roomy, labels={"team": "blue"})
    assert (task.state, task.status, task.queue_position) == (pb.TASK_STATE_RUNNING, "running", 0)
    roomy.provider.release()
    done = await ended(roomy, task.task_id)
    assert (done.state, done.status, done.result) == (pb.TASK_STATE_SUCCEEDED, "completed", "done.")
    assert done.finish_reason == pb.FINISH_REASON_STOP
    assert done.metadata["generation_id"]
    assert (done.attempt, done.deferrals, dict(done.labels)) == (1, 0, {"team": "blue"})
    assert (task.create_time, task.conversation_id) == (done.create_time, done.conversation_id)
    assert done.usage.model_calls == 1
    times = [done.create_time, done.start_time, done.end_time]
    assert times == sorted(times, key=lambda t: t.ToNanoseconds())


async def test_a_task_without_room_waits_in_line_and_is_done_later(small: Service) -> None:
    first = await answering(small)
    tasks = [await start(small, f"task {n}") for n in range(3)]
    assert [task.queue_position for task in tasks] == [1, 2, 3]
    assert {task.state for task in tasks} == {pb.TASK_STATE_QUEUED}
    assert said(small.provider) == ["held"]
    small.provider.release()
    await collect(first, [])
    for task in tasks:
        done = await ended(small, task.task_id)
        assert (done.state, done.attempt) == (pb.TASK_STATE_SUCCEEDED, 1)
    assert said(small.provider) == ["held", "task 0", "task 1", "task 2"]


async def test_a_watcher_sees_the_whole_log_between_two_snapshots(small: Service) -> None:
    first = await answering(small)
    task = await start(small)
    begun = asyncio.Event()
    watching = asyncio.create_task(watched(small, task.task_id, begun=begun))
    await begun.wait()
    small.provider.release()
    await collect(first, [])
    snapshots, chunks, code = await watching
    assert [s.state for s in snapshots] == [pb.TASK_STATE_QUEUED, pb.TASK_STATE_SUCCEEDED]
    logged = [chunk.sequence for chunk in chunks if chunk.sequence]
    assert logged == list(range(1, len(logged) + 1))
    assert chunks[-1].complete.final_text == text_of(chunks) == snapshots[-1].result
    assert code is grpc.StatusCode.OK


async def test_a_task_that_has_ended_can_be_watched_from_anywhere(roomy: Service) -> None:
    task = await start(roomy)
    done = await ended(roomy, task.task_id)
    _, chunks, _ = await watched(roomy, task.task_id)
    _, rest, code = await watched(roomy, task.task_id, after=done.last_sequence - 1)
    assert rest == chunks[-1:]
    assert code is grpc.StatusCode.OK
    assert (await watched(roomy, task.task_id, after=done.last_sequence + 1))[2] is (
        grpc.StatusCode.OUT_OF_RANGE
    )


async def test_the_task_of_somebody_else_is_not_there(roomy: Service) -> None:
    task = await start(roomy)
    for call in (
        roomy.stub.GetTaskStatus(pb.TaskStatusRequest(user_id="bob", task_id=task.task_id)),
        roomy.stub.CancelTask(pb.CancelTaskRequest(user_id="bob", task_id=task.task_id)),
        roomy.stub.RetryTask(pb.RetryTaskRequest(user_id="bob", task_id=task.task_id)),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.NOT_FOUND
    assert not (await roomy.stub.ListTasks(pb.ListTasksRequest(user_id="bob"))).tasks


@pytest.mark.parametrize("place", ["line", "provider"])
async def test_a_cancelled_task_has_ended_when_the_call_returns(small: Service, place: str) -> None:
    first = await answering(small) if place == "line" else None
    small.provider.default = Script(tokens=("one", " two"), hold_after=1)
    task = await start(small)
    if place == "provider":
        await (await small.provider.call(1)).sent(1)
    response = await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert response.task.state == pb.TASK_STATE_CANCELLED
    if place == "provider":
        assert await (await small.provider.call(1)).ended() is Outcome.CLIENT_GONE
    assert (response.task.status, response.task.error.reason) == ("failed", "CANCELLED")
    assert response.task.finish_reason == pb.FINISH_REASON_CANCELLED
    again = await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert again.task.state == pb.TASK_STATE_CANCELLED
    small.provider.release()
    if first is not None:
        await collect(first, [])


async def test_a_task_that_is_cancelled_after_its_step_keeps_what_the_step_brought(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    task = await start(roomy, conversation_id="c1")
    await (await roomy.provider.call(1)).sent(1)
    request = pb.CancelTaskRequest(user_id="ann", task_id=task.task_id, mode=pb.CANCEL_MODE_AFTER_STEP)
    cancelling = asyncio.ensure_future(roomy.stub.CancelTask(request))
    await roomy.run_is(task.task_id, "cancelling")
    roomy.provider.release()
    response = await cancelling
    assert (response.task.state, response.task.result) == (pb.TASK_STATE_CANCELLED, "one two")


async def test_a_run_is_cancelled_by_the_request_id_that_began_it(small: Service) -> None:
    first = await answering(small)
    task = await start(small, request_id="r-1")
    response = await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", request_id="r-1"))
    assert (response.task.task_id, response.task.state) == (task.task_id, pb.TASK_STATE_CANCELLED)
    small.provider.release()
    await collect(first, [])


async def test_tasks_are_listed_in_pages_the_newest_first(roomy: Service) -> None:
    tasks = [await start(roomy, f"{n}", labels={"parity": str(n % 2)}) for n in range(5)]
    for task in tasks:
        await ended(roomy, task.task_id)
    found: list[str] = []
    request = pb.ListTasksRequest(user_id="ann", page_size=2)
    while True:
        page = await roomy.stub.ListTasks(request)
        found += [task.task_id for task in page.tasks]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == [task.task_id for task in reversed(tasks)]
    odd = await roomy.stub.ListTasks(pb.ListTasksRequest(user_id="ann", labels={"parity": "1"}))
    assert [task.task_id for task in odd.tasks] == [tasks[3].task_id, tasks[1].task_id]
    failed = await roomy.stub.ListTasks(
        pb.ListTasksRequest(user_id="ann", states=[pb.TASK_STATE_FAILED, pb.TASK_STATE_EXPIRED])
    )
    assert not failed.tasks
    other = pb.ListTasksRequest(user_id="ann", page_token=request.page_token, labels={"parity": "1"})
    assert (await refused(roomy.stub.ListTasks(other))).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_task_whose_answer_broke_is_tried_again_and_its_readers_are_told(small: Service) -> None:
    small.provider.enqueue(Script(tokens=("no", "thing"), fault=Fault(FaultKind.CUT, 1)))
    small.provider.enqueue(Script(tokens=("all", " well")))
    task = await start(small)
    done = await ended(small, task.task_id)
    assert (done.state, done.result, done.attempt) == (pb.TASK_STATE_SUCCEEDED, "all well", 2)
    _, chunks, _ = await watched(small, task.task_id)
    resets = [chunk.reset for chunk in chunks if chunk.HasField("reset")]
    assert [(reset.reason, reset.attempt) for reset in resets] == [(pb.RESET_REASON_NEW_ATTEMPT, 2)]


async def test_a_task_fails_after_its_last_attempt_and_can_be_begun_anew(small: Service) -> None:
    for _ in range(3):
        small.provider.enqueue(Script(tokens=("no", "thing"), fault=Fault(FaultKind.CUT, 1)))
    task = await start(small, "try", priority="high", labels={"a": "b"})
    dead = await ended(small, task.task_id)
    assert (dead.state, dead.attempt, dead.error.reason) == (pb.TASK_STATE_FAILED, 3, "PROVIDER_BROKEN")
    response = await small.stub.RetryTask(pb.RetryTaskRequest(user_id="ann", task_id=task.task_id))
    again = await ended(small, response.task.task_id)
    assert again.task_id != task.task_id
    assert (again.state, again.retry_of, again.task_priority) == (
        pb.TASK_STATE_SUCCEEDED,
        task.task_id,
        pb.TASK_PRIORITY_HIGH,
    )
    assert (again.conversation_id, dict(again.labels)) == (dead.conversation_id, {"a": "b"})
    assert (await status(small, task.task_id)).state == pb.TASK_STATE_FAILED
    error = await refused(small.stub.RetryTask(pb.RetryTaskRequest(user_id="ann", task_id=again.task_id)))
    assert (error.code(), error_info(error).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")


async def test_what_no_attempt_can_mend_fails_at_once(small: Service) -> None:
    small.provider.enqueue(Script(status=400))
    done = await ended(small, (await start(small)).task_id)
    assert (done.state, done.attempt, done.error.reason) == (pb.TASK_STATE_FAILED, 1, "PROVIDER_REJECTED")


async def test_an_outage_fails_no_task_and_takes_no_attempt(small: Service) -> None:
    for _ in range(4):
        small.provider.enqueue(Script(status=503))
    done = await ended(small, (await start(small)).task_id)
    assert (done.state, done.attempt) == (pb.TASK_STATE_SUCCEEDED, 1)
    assert done.deferrals >= 2


async def test_a_task_that_waited_too_long_for_its_beginning_expires(small: Service) -> None:
    first = await answering(small)
    task = await start(small, queue_timeout=Duration(nanos=200_000_000))
    done = await ended(small, task.task_id)
    assert (done.state, done.error.reason) == (pb.TASK_STATE_EXPIRED, "DEADLINE_EXCEEDED")
    small.provider.release()
    await collect(first, [])
    assert said(small.provider) == ["held"]


async def test_a_task_begins_at_its_time_and_not_before(roomy: Service) -> None:
    request = pb.TaskRequest(user_id="ann", query="later")
    request.not_before.FromDatetime(datetime.now(UTC) + timedelta(seconds=1))
    task = await roomy.stub.StartTask(request)
    assert task.state == pb.TASK_STATE_QUEUED
    done = await ended(roomy, task.task_id)
    assert done.start_time.ToNanoseconds() >= request.not_before.ToNanoseconds()


async def test_tasks_of_one_conversation_are_done_one_after_the_other(roomy: Service) -> None:
    roomy.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    tasks = [await start(roomy, f"task {n}", conversation_id="c1") for n in range(3)]
    assert [task.state for task in tasks] == [pb.TASK_STATE_RUNNING, *[pb.TASK_STATE_QUEUED] * 2]
    other = await start(roomy, "other")
    assert other.state == pb.TASK_STATE_RUNNING
    roomy.provider.release()
    for task in tasks:
        await ended(roomy, task.task_id)
    asked = [query for query in said(roomy.provider) if query.startswith("task")]
    assert asked == ["task 0", "task 1", "task 2"]


async def test_no_priority_puts_a_task_before_an_earlier_one_of_its_conversation(small: Service) -> None:
    first = await answering(small)
    await start(small, "earlier", conversation_id="c1")
    later = await start(small, "later", conversation_id="c1", priority="high")
    small.provider.release()
    await collect(first, [])
    await ended(small, later.task_id)
    assert said(small.provider) == ["held", "earlier", "later"]


async def test_the_line_is_full_at_its_high_mark_and_open_again_below_the_low_one(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with narrow(dsn, provider, tmp_path, queue={"capacity": 10}) as small:
        await fill(small)


async def fill(small: Service) -> None:
    """One runs and seven wait: that is the high mark of ten. The low one is six."""
    first = await answering(small)
    tasks = [await start(small, f"task {n}") for n in range(7)]
    error = await refused(small.stub.StartTask(pb.TaskRequest(user_id="ann", query="too much")))
    assert (error.code(), error_info(error).reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert retry_delay(error)
    state = await small.stub.GetProviderStatus(pb.GetProviderStatusRequest())
    assert (state.accepting_tasks, state.queue_capacity, state.queued_tasks) == (False, 10, 7)
    await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=tasks[0].task_id))
    assert (await refused(small.stub.StartTask(pb.TaskRequest(user_id="ann", query="still")))).code() is (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    for task in tasks[1:3]:
        await small.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert (await start(small, "again")).state == pb.TASK_STATE_QUEUED
    assert (await small.stub.GetProviderStatus(pb.GetProviderStatusRequest())).accepting_tasks
    small.provider.release()
    await collect(first, [])


async def test_the_next_task_of_a_conversation_begins_when_the_one_before_it_ends(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """And not at the next look, which is far away."""
    async with narrow(dsn, provider, tmp_path, calls=5, run={"reap_seconds": 30.0}) as service:
        tasks = [await start(service, f"{n}", conversation_id="c1") for n in range(3)]
        for task in tasks:
            assert (await ended(service, task.task_id)).state == pb.TASK_STATE_SUCCEEDED


async def test_a_key_of_a_retry_that_is_too_long_is_refused(roomy: Service) -> None:
    roomy.provider.enqueue(Script(status=400))
    task = await start(roomy)
    await ended(roomy, task.task_id)
    too_long = pb.RetryTaskRequest(user_id="ann", task_id=task.task_id, request_id="r" * 65)
    assert (await refused(roomy.stub.RetryTask(too_long))).code() is grpc.StatusCode.INVALID_ARGUMENT
