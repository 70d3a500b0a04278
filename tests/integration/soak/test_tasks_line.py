"""Providers that are full or away: every task gets its id and its place, and is done when there is room."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import HELD, narrow
from tests.harness.scale import SCALE, report, scaled
from tests.harness.service import Service
from tests.harness.statuses import error_info
from tests.integration.tasks.asking import ended, refused, start, status

TASKS = scaled(50)
USERS = 5
OUTAGE_SECONDS = float(scaled(6))
CAPACITY, HIGH, LOW = 20, 16, 12
BURST = 10
PRIORITIES = (pb.TASK_PRIORITY_LOW, pb.TASK_PRIORITY_NORMAL, pb.TASK_PRIORITY_HIGH)

pytestmark = pytest.mark.timeout(120 * SCALE)


async def standing(service: Service, task_id: str, user_id: str) -> list[tuple[int, float]]:
    """Position and estimate in seconds, whenever its watcher is told of them."""
    told: list[tuple[int, float]] = []
    request = pb.WatchTaskRequest(user_id=user_id, task_id=task_id)
    async for response in service.stub.WatchTask(request):
        told_now = response.chunk.status
        if told_now.queue_position:
            told.append((told_now.queue_position, told_now.estimated_wait.ToNanoseconds() / 1e9))
    return told


async def test_tasks_of_a_saturated_provider_all_get_ids_and_are_done_by_priority(
    durable_dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.capacity = 0
    provider.default = Script(tokens=("done",), first_token_delay=0.08)
    async with narrow(durable_dsn, provider, tmp_path, queue={"priority_seconds": 0}) as service:
        asked = [(f"user-{n % USERS}", PRIORITIES[n % 3]) for n in range(TASKS)]
        tasks = [
            await start(service, f"task {n}", user_id=user, task_priority=priority)
            for n, (user, priority) in enumerate(asked)
        ]
        assert len({task.task_id for task in tasks}) == TASKS
        last = max(range(TASKS), key=lambda n: (-asked[n][1], n))
        watching = asyncio.create_task(standing(service, tasks[last].task_id, asked[last][0]))
        provider.capacity = None
        for task, (user, _) in zip(tasks, asked, strict=True):
            await service.run_ended(task.task_id, within=60.0 * SCALE)
            done = await status(service, task.task_id, user)
            assert (done.state, done.attempt) == (pb.TASK_STATE_SUCCEEDED, 1)
        told = await watching
    places, estimates = [place for place, _ in told], [wait for _, wait in told if wait]
    assert places == sorted(set(places), reverse=True)
    assert len(places) >= 3
    assert estimates[-1] < estimates[0]
    assert_by_priority(answered(provider), [priority for _, priority in asked])
    report(f"{TASKS} tasks of a saturated provider; told positions {places}, estimates {estimates}")


def answered(provider: ScriptedProvider) -> list[int]:
    """The numbers of the tasks, as they were answered."""
    calls = [call for call in provider.ledger if call.generation_id]
    return [int(call.body["messages"][-1]["content"].split()[1]) for call in calls]


def assert_by_priority(order: Sequence[int], priorities: Sequence[int]) -> None:
    """Each user's in the order of their priority, and among those of one in that of their coming."""
    of_user: defaultdict[int, list[int]] = defaultdict(list)
    for number in order:
        of_user[number % USERS].append(number)
    assert sum(map(len, of_user.values())) == len(priorities)
    for numbers in of_user.values():
        assert numbers == sorted(numbers, key=lambda number: (-priorities[number], number))


async def test_an_outage_fails_no_task(durable_dsn: str, tmp_path: Path) -> None:
    tasks: list[str] = []
    async with AsyncExitStack() as stack:
        async with ScriptedProvider(default=Script(status=503)) as failing:
            port = failing.port
            service = await stack.enter_async_context(narrow(durable_dsn, failing, tmp_path, calls=4))
            ends = time.monotonic() + OUTAGE_SECONDS
            while time.monotonic() < ends - OUTAGE_SECONDS / 2:
                tasks.append((await start(service, f"task {len(tasks)}")).task_id)
                await asyncio.sleep(OUTAGE_SECONDS / 20)
        while time.monotonic() < ends:  # now nobody answers there at all
            tasks.append((await start(service, f"task {len(tasks)}")).task_id)
            await asyncio.sleep(OUTAGE_SECONDS / 20)
        began = time.monotonic()
        async with ScriptedProvider(port=port):
            for task_id in tasks:
                await service.run_ended(task_id, within=90.0)
            over = time.monotonic() - began
            done = [await status(service, task_id) for task_id in tasks]
            await stack.aclose()
    assert {(task.state, task.attempt) for task in done} == {(pb.TASK_STATE_SUCCEEDED, 1)}
    report(f"an outage of {OUTAGE_SECONDS:g} s, {len(tasks)} tasks; all done {over:.1f} s after it")


@asynccontextmanager
async def two_replicas(dsn: str, provider: ScriptedProvider, folder: Path) -> AsyncIterator[list[Service]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                narrow(dsn, provider, folder, calls=4, queue={"capacity": CAPACITY})
            )
            for _ in range(2)
        ]


async def is_full(service: Service) -> bool:
    """Whether it takes no task now."""
    error = await refused(service.stub.StartTask(pb.TaskRequest(user_id="ann", query="too much")))
    assert (error.code(), error_info(error).reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    state = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
    return not state.accepting_tasks


async def test_the_marks_count_the_runs_of_all_replicas(
    durable_dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.default = HELD
    async with two_replicas(durable_dsn, provider, tmp_path) as services:
        tasks = [await start(services[n % 2], f"task {n}") for n in range(HIGH)]
        assert [await is_full(service) for service in services] == [True, True]
        for number in range(HIGH - LOW):
            await cancel(services[number % 2], tasks.pop().task_id)
            assert [await is_full(service) for service in services] == [True, True]
        await cancel(services[0], tasks.pop().task_id)
        tasks.append(await start(services[1], "again"))
        burst = await asyncio.gather(
            *(start(services[n % 2], f"burst {n}") for n in range(BURST)), return_exceptions=True
        )
        tasks += [task for task in burst if isinstance(task, pb.TaskResponse)]
        report(f"at the high mark of {HIGH}: {len(tasks)} in line after {BURST} came at once at {LOW}")
        assert HIGH <= len(tasks) < HIGH + BURST
        provider.default = Script()
        provider.release()
        for task in tasks:
            assert (await ended(services[0], task.task_id)).state == pb.TASK_STATE_SUCCEEDED


async def cancel(service: Service, task_id: str) -> None:
    response = await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task_id))
    assert response.task.state == pb.TASK_STATE_CANCELLED
