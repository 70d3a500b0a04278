"""The client for code without a loop, used by a process that has none."""

import sys

import pytest

from llm_orchestrator_client.threads import LoopThread
from tests.client.processes import finished
from tests.fakes.scripted_provider.script import Script
from tests.harness.retention import value
from tests.harness.service import Service

THREE = ("one", " two", " three")


async def scene(service: Service, name: str) -> list[str]:
    """What a scene of `sync_caller` prints."""
    caller = [sys.executable, "-W", "error", "-m", "tests.client.sync_caller"]
    code, output, errors = await finished(*caller, name, f"127.0.0.1:{service.port}")
    assert (code, errors) == (0, "")
    return output.splitlines()


async def test_every_kind_of_call_works_without_a_loop(service: Service) -> None:
    service.provider.default = Script(tokens=THREE)
    assert await scene(service, "everything") == [
        "chat status complete one two three c1",
        "text one two three",
        *["watch one two three"] * 3,
        "list True",
        "first True",
        "checkpoints True",
        "resume one two three",
        "permissions []",
        "health healthy True",
        "refused query",
        "threads []",
    ]


async def test_who_breaks_off_leaves_no_run(service: Service) -> None:
    service.provider.enqueue(Script(tokens=THREE, hold_after=1))
    left, threads = await scene(service, "leaves")
    assert await service.run_ended(left.removeprefix("left ")) == "cancelled"
    assert threads == "threads []"


async def test_closing_under_a_reader_ends_it_and_its_run(service: Service) -> None:
    service.provider.enqueue(Script(tokens=THREE, hold_after=1))
    assert await scene(service, "closes") == [
        "closed the client was closed meanwhile",
        "after the client is closed",
        "threads []",
    ]
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")


def test_the_loops_own_thread_is_not_made_to_wait_for_itself() -> None:
    thread = LoopThread()

    async def nothing() -> None:
        pass

    async def inside() -> None:
        thread.run(nothing())

    with pytest.raises(RuntimeError, match="wait for itself"):
        thread.run(inside())
    thread.stop(nothing())
    thread.stop(nothing())
    with pytest.raises(RuntimeError, match="closed"):
        thread.run(nothing())
