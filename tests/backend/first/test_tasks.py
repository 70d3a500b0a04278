"""Tasks over REST: what each status stands for, with a provider and a line that are really full."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.backend.first.reading import Browser, Browsers, numbers, text_of
from tests.backend.first.running import NOBODY, running_backend, settings_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import HELD, narrow
from tests.harness.service import Service


@pytest.fixture
async def small(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, browsers: Browsers
) -> AsyncIterator[Browser]:
    """A provider with one place, and a line with room for two."""
    async with small_backend(dsn, provider, tmp_path) as (_, address):
        yield browsers.at(address)


@asynccontextmanager
async def small_backend(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> AsyncIterator[tuple[Service, str]]:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            narrow(dsn, provider, folder, queue={"capacity": 3, "high_share": 1.0, "low_share": 0.9})
        )
        backend = await stack.enter_async_context(running_backend(settings_of(f"127.0.0.1:{service.port}")))
        yield service, backend.address


async def test_200_when_it_runs_202_when_it_waits_503_when_there_is_no_room(
    small: Browser, provider: ScriptedProvider
) -> None:
    provider.enqueue(HELD)
    status, running, headers = await small.call("POST", "/tasks", {"query": "first", "agent_type": "chat"})
    assert (status, running["state"]) == (200, "RUNNING")
    assert headers["Location"] == f"/tasks/{running['task_id']}"
    await provider.call(1)
    waiting = []
    for position in (1, 2):
        status, queued, headers = await small.call(
            "POST", "/tasks", {"query": f"more {position}", "agent_type": "chat"}
        )
        assert (status, queued["state"], queued["queue_position"]) == (202, "QUEUED", position)
        assert queued["queue_id"] == queued["task_id"]
        assert int(headers["Retry-After"]) >= 1
        _, looked, _ = await small.call("GET", headers["Location"])
        assert (looked["task_id"], looked["state"]) == (queued["queue_id"], "QUEUED")
        waiting.append(headers["Location"])
    status, problem, headers = await small.call("POST", "/tasks", {"query": "too much", "agent_type": "chat"})
    assert (status, problem["reason"], problem["retryable"]) == (503, "QUEUE_FULL", True)
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Retry-After"]) >= 1
    provider.release()
    for place in waiting:
        async with small.stream(f"{place}/events") as stream:
            assert (await stream.rest())[-1].kind == "complete"
    status, _, _ = await small.call("POST", "/tasks", {"query": "again", "agent_type": "chat"})
    assert status in (200, 202)


async def test_a_task_is_followed_and_taken_up_again(service: Service, ann: Browser) -> None:
    service.provider.enqueue(Script(tokens=("one", " two", " three"), token_interval=0.05))
    _, task, headers = await ann.call("POST", "/tasks", {"query": "count", "labels": {"of": "counts"}})
    async with ann.stream(f"{headers['Location']}/events") as stream:
        events = await stream.rest()
    assert (events[0].kind, events[0].data["task"]["task_id"]) == ("snapshot", task["task_id"])
    assert text_of(events) == "one two three"
    async with ann.stream(f"{headers['Location']}/events", **{"Last-Event-ID": "2"}) as stream:
        again = await stream.rest()
    assert numbers(again) == numbers(events)[2:]
    _, listed, _ = await ann.call("GET", "/tasks?label=of:counts&state=succeeded&limit=5")
    assert [found["task_id"] for found in listed["tasks"]] == [task["task_id"]]
    _, listed, _ = await ann.call("GET", "/tasks?label=of:others")
    assert listed["tasks"] == []


async def test_a_task_is_cancelled(service: Service, ann: Browser) -> None:
    service.provider.enqueue(HELD)
    _, task, headers = await ann.call("POST", "/tasks", {"query": "wait"})
    await service.provider.call(1)
    status, stopped, _ = await ann.call("DELETE", headers["Location"])
    assert (status, stopped["state"]) in ((202, "CANCELLING"), (200, "CANCELLED"))
    assert await service.run_ended(task["task_id"]) == "cancelled"
    status, stopped, _ = await ann.call("DELETE", headers["Location"])
    assert (status, stopped["state"]) == (200, "CANCELLED")


async def test_the_same_request_id_is_the_same_task(service: Service, ann: Browser) -> None:
    task = {"query": "once", "request_id": "r1"}
    answers = [await ann.call("POST", "/tasks", task) for _ in range(2)]
    assert len({answer["task_id"] for _, answer, _ in answers}) == 1
    status, problem, _ = await ann.call("POST", "/tasks", {"query": "another", "request_id": "r1"})
    assert (status, problem["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")


async def test_another_users_task_is_none(service: Service, ann: Browser, bob: Browser) -> None:
    service.provider.enqueue(HELD)
    _, _, headers = await ann.call("POST", "/tasks", {"query": "mine"})
    place = headers["Location"]
    never = f"/tasks/{'0' * 32}"
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        status, problem, _ = await bob.call(method, place + path)
        other_status, other, _ = await bob.call(method, never + path)
        assert (status, problem["reason"]) == (other_status, other["reason"]) == (404, problem["reason"])
    assert (await bob.call("GET", "/tasks"))[1]["tasks"] == []
    assert (await ann.call("GET", place))[1]["state"] == "RUNNING"
    service.provider.release()


async def test_none_is_begun_while_the_orchestrator_is_switched_off(
    service: Service, browsers: Browsers
) -> None:
    async with running_backend(settings_of(f"127.0.0.1:{service.port}"), NOBODY) as backend:
        status, problem, headers = await browsers.at(backend.address).call("POST", "/tasks", {"query": "x"})
    assert (status, problem["reason"], headers["Retry-After"]) == (503, "ORCHESTRATOR_OFF", "60")


async def test_an_orchestrator_that_is_away_is_503_with_a_time_to_come_back(browsers: Browsers) -> None:
    async with running_backend(settings_of("127.0.0.1:1")) as backend:
        status, problem, headers = await browsers.at(backend.address).call("POST", "/tasks", {"query": "x"})
    assert (status, problem["reason"], headers["Retry-After"]) == (503, "UNAVAILABLE", "1")
    assert "127.0.0.1" not in str(problem)
