"""StartTask while Postgres is away: what the journal takes, what it says of it, and what it refuses."""

import asyncio
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.journal import Outage, journalled
from tests.harness.narrow import HELD, narrow
from tests.harness.proxy import TcpProxy
from tests.harness.service import chat_request, collect, running_service
from tests.harness.statuses import error_info, retry_delay
from tests.integration.tasks.asking import refused, start, status
from tests.integration.test_health import NOT_SERVING, SERVING, Watch, standard_check, standard_watch

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")


def told(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    return error.code(), error_info(error).reason


async def test_without_a_journal_a_task_is_refused_and_told_to_come_again(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider) as service:
        await proxy.cut()
        error = await refused(service.stub.StartTask(pb.TaskRequest(user_id="ann", query="work")))
    assert told(error) == UNAVAILABLE
    assert retry_delay(error)


async def test_a_task_accepted_during_an_outage_has_an_id_and_is_known_here(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start("work", conversation_id="c1", labels={"team": "blue"}, priority="high")
    assert (task.state, task.status, dict(task.metadata)) == (
        pb.TASK_STATE_QUEUED,
        "queued",
        {"spooled": "true"},
    )
    found = await status(outage.service, task.task_id)
    assert (found.state, found.status, dict(found.metadata)) == (task.state, "queued", {"spooled": "true"})
    assert (found.conversation_id, found.create_time) == (task.conversation_id, task.create_time)
    assert (dict(found.labels), found.task_priority) == ({"team": "blue"}, pb.TASK_PRIORITY_HIGH)
    assert (found.attempt, found.agent_name) == (0, "chat")


async def test_the_spooled_task_of_somebody_else_is_not_there(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start()
    request = pb.TaskStatusRequest(user_id="bob", task_id=task.task_id)
    assert (await refused(outage.service.stub.GetTaskStatus(request))).code() is grpc.StatusCode.NOT_FOUND


async def test_a_spooled_task_can_be_asked_about_and_nothing_else(outage: Outage) -> None:
    await outage.proxy.cut()
    task = await outage.start(request_id="r1")
    stub, task_id = outage.service.stub, task.task_id
    resume = stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=task_id))
    for call in (
        stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task_id)),
        stub.CancelTask(pb.CancelTaskRequest(user_id="ann", request_id="r1")),
        stub.RetryTask(pb.RetryTaskRequest(user_id="ann", task_id=task_id)),
        stub.ListTasks(pb.ListTasksRequest(user_id="ann")),
        collect(resume, []),
        anext(aiter(stub.WatchTask(pb.WatchTaskRequest(user_id="ann", task_id=task_id)))),
    ):
        error = await refused(call)
        assert told(error) == UNAVAILABLE
        assert retry_delay(error)


async def test_the_service_stays_serving_and_says_that_it_is_degraded(outage: Outage) -> None:
    told_so: list[int] = []
    watching = asyncio.create_task(_keep(standard_watch(outage.service.channel), told_so))
    assert (await outage.health()).status == "healthy"
    await outage.proxy.cut()
    task = await outage.start()
    while (answer := await outage.health()).details["database"] == "ok":
        pass  # an answer may be a second old
    assert (answer.status, answer.details["tasks_in_journal"]) == ("degraded", "1")
    assert await standard_check(outage.service.channel) == SERVING
    assert told(await refused(collect(outage.service.stub.StreamChat(chat_request()), []))) == UNAVAILABLE
    await outage.proxy.restore()
    await outage.service.run_ended(task.task_id)
    while (answer := await outage.health()).status != "healthy":
        pass
    assert answer.details["tasks_in_journal"] == "0"
    watching.cancel()
    assert told_so[-1:] == [SERVING]
    assert NOT_SERVING not in told_so[1:]


async def _keep(watch: Watch, told_so: list[int]) -> None:
    async for response in watch:
        told_so.append(response.status)


async def test_a_request_is_checked_as_ever(outage: Outage) -> None:
    await outage.proxy.cut()
    for call in (
        outage.start(agent_type="nobody"),
        outage.start(model=pb.ModelOptions(model="none")),
        outage.start(""),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await outage.health()).details["tasks_in_journal"] == "0"


async def test_a_checkpoint_that_cannot_be_looked_up_is_refused(outage: Outage) -> None:
    chunks = await outage.service.chat(conversation_id="c1")
    await outage.proxy.cut()
    await outage.start("something, so that the outage is known")
    base = chunks[-1].complete.checkpoint_id
    error = await refused(outage.start(conversation_id="c1", base_checkpoint_id=base))
    assert told(error) == UNAVAILABLE
    assert (await outage.health()).details["tasks_in_journal"] == "1"


async def test_a_request_id_begins_one_task_during_an_outage_too(outage: Outage) -> None:
    await outage.proxy.cut()
    first = await outage.start(request_id="r1")
    again = await outage.start(request_id="r1")
    assert (again.task_id, again.deduplicated, first.deduplicated) == (first.task_id, True, False)
    assert again.metadata["spooled"] == "true"
    error = await refused(outage.start("something else", request_id="r1"))
    assert told(error) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    assert error_info(error).metadata["run_id"] == first.task_id
    somebody_else = await outage.start(request_id="r1", user_id="bob")
    assert somebody_else.task_id != first.task_id
    await outage.proxy.restore()
    await outage.service.run_ended(first.task_id)
    later = await outage.start(request_id="r1")
    assert (later.task_id, later.deduplicated) == (first.task_id, True)
    assert not later.metadata


@pytest.mark.parametrize(("capacity", "high"), [(10, 8), (15, 12)])
async def test_the_high_mark_counts_who_was_last_seen_in_line_and_who_is_in_the_journal(
    dsn: str, provider: ScriptedProvider, folder: Path, capacity: int, high: int
) -> None:
    async with narrow(dsn, provider, folder) as other:
        provider.enqueue(HELD)
        for _ in range(4):
            await start(other)
        async with journalled(dsn, provider, folder, queue={"capacity": capacity}) as outage:
            await outage.proxy.cut()
            spooled = [await outage.start() for _ in range(high - 4)]
            error = await refused(outage.start())
            assert told(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            assert retry_delay(error)
            await outage.proxy.restore()
            provider.release()
            for task in spooled:
                assert await outage.service.run_ended(task.task_id) == "succeeded"


@pytest.mark.parametrize("limit", [{"max_entries": 2}, {"max_bytes": 5000}])
async def test_a_full_journal_refuses_and_keeps_what_it_has(
    dsn: str, provider: ScriptedProvider, folder: Path, limit: dict[str, int]
) -> None:
    async with journalled(dsn, provider, folder, journal=limit) as outage:
        await outage.proxy.cut()
        kept = [await outage.start("x" * 1500) for _ in range(2)]
        error = await refused(outage.start("x" * 1500))
        assert told(error) == UNAVAILABLE
        assert retry_delay(error)
        await outage.proxy.restore()
        for task in kept:
            assert await outage.service.run_ended(task.task_id) == "succeeded"
        assert not (await outage.start("x" * 1500)).metadata
