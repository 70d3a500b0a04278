"""Each setting of tasks and of the line, changed, changes what the service does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.narrow import answering, narrow, said
from tests.harness.retention import age, counts, delete_old
from tests.harness.service import Service, collect
from tests.integration.tasks.asking import ended, refused, start

BROKEN = Script(tokens=("no", "thing"), fault=Fault(FaultKind.CUT, 1))
Narrow = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def service(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> Narrow:
    @asynccontextmanager
    async def begun(**groups: Any) -> AsyncIterator[Service]:
        async with narrow(dsn, provider, tmp_path, **groups) as running:
            yield running

    return begun


@pytest.mark.parametrize("most", [1, 2])
async def test_a_task_is_tried_as_often_as_the_setting_says(service: Narrow, most: int) -> None:
    async with service(run={"max_attempts": most}) as running:
        for _ in range(3):
            running.provider.enqueue(BROKEN)
        done = await ended(running, (await start(running)).task_id)
    assert (done.state, done.attempt) == (pb.TASK_STATE_FAILED, most)
    assert len(said(running.provider)) == most


async def test_the_pause_before_another_attempt_is_as_long_as_the_setting(service: Narrow) -> None:
    took = {}
    for seconds in (0.05, 2.0):
        async with service(run={"retry_seconds": seconds}) as running:
            running.provider.enqueue(BROKEN)
            began = monotonic()
            await ended(running, (await start(running)).task_id)
            took[seconds] = monotonic() - began
    assert took[0.05] < 1.0 <= took[2.0]


@pytest.mark.parametrize(
    ("seconds", "state"), [(0.2, pb.TASK_STATE_CANCELLING), (10.0, pb.TASK_STATE_CANCELLED)]
)
async def test_who_cancels_waits_for_the_end_as_long_as_the_setting(
    service: Narrow, seconds: float, state: int
) -> None:
    async with service(run={"cancel_seconds": seconds}) as running:
        running.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
        task = await start(running)
        await (await running.provider.call(1)).sent(1)
        request = pb.CancelTaskRequest(user_id="ann", task_id=task.task_id, mode=pb.CANCEL_MODE_AFTER_STEP)
        cancelling = asyncio.ensure_future(running.stub.CancelTask(request))
        if state == pb.TASK_STATE_CANCELLED:
            await running.run_is(task.task_id, "cancelling")
            running.provider.release()
        assert (await cancelling).task.state == state
        running.provider.release()


@pytest.mark.parametrize(("queue", "joins"), [({"capacity": 2}, 1), ({"capacity": 4}, 3)])
async def test_so_many_join_the_line_as_its_capacity_allows(
    service: Narrow, queue: Mapping[str, object], joins: int
) -> None:
    async with service(queue={"high_share": 1.0, **queue}) as running:
        first = await answering(running)
        for _ in range(joins):
            await start(running)
        await refused(running.stub.StartTask(pb.TaskRequest(user_id="ann", query="too much")))
        running.provider.release()
        await collect(first, [])


@pytest.mark.parametrize(("low", "opens"), [(0.5, False), (1.0, True)])
async def test_the_line_opens_again_below_the_low_share(service: Narrow, low: float, opens: bool) -> None:
    async with service(queue={"capacity": 4, "high_share": 1.0, "low_share": low}) as running:
        first = await answering(running)
        tasks = [await start(running) for _ in range(3)]
        too_much = pb.TaskRequest(user_id="ann", query="too much")
        await refused(running.stub.StartTask(too_much))
        await running.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=tasks[0].task_id))
        if opens:
            await running.stub.StartTask(too_much)
        else:
            await refused(running.stub.StartTask(too_much))
        running.provider.release()
        await collect(first, [])


@pytest.mark.parametrize(
    ("seconds", "order"),
    [(3600.0, ["urgent", "usual"]), (0.0, ["urgent", "usual"]), (1e-3, ["usual", "urgent"])],
)
async def test_a_step_of_priority_is_worth_as_much_waiting_as_the_setting_says(
    service: Narrow, seconds: float, order: list[str]
) -> None:
    async with service(queue={"priority_seconds": seconds}) as running:
        first = await answering(running)
        await start(running, "usual", user_id="bob")
        await asyncio.sleep(0.05)  # it has waited for longer than a step of a thousandth of a second
        task = await start(running, "urgent", user_id="ann", priority="high")
        running.provider.release()
        await collect(first, [])
        await ended(running, task.task_id)
        await running.run_ended((await last_of(running, "bob")).task_id)
    assert said(running.provider)[1:] == order


async def last_of(service: Service, user_id: str) -> pb.TaskStatusResponse:
    listed = await service.stub.ListTasks(pb.ListTasksRequest(user_id=user_id))
    return listed.tasks[0]


@pytest.mark.parametrize(("seconds", "state"), [(0.2, "expired"), (60.0, "succeeded")])
async def test_a_task_waits_for_its_beginning_as_long_as_the_setting(
    service: Narrow, seconds: float, state: str
) -> None:
    async with service(queue={"timeout_seconds": seconds}) as running:
        first = await answering(running)
        task = await start(running)
        if state == "expired":
            await running.run_ended(task.task_id)
        running.provider.release()
        await collect(first, [])
        assert await running.run_ended(task.task_id) == state


async def test_what_a_request_began_is_forgotten_after_a_day(service: Narrow, dsn: str) -> None:
    async with service() as running:
        first = await start(running, request_id="r-1")
        assert (await start(running, request_id="r-1")).task_id == first.task_id
        await ended(running, first.task_id)
        await age(dsn, hours=25)
        await delete_old(dsn)
        assert (await counts(dsn))["request_keys"] == 0
        assert (await start(running, request_id="r-1")).task_id != first.task_id
