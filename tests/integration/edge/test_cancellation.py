"""A caller who leaves, in whatever way, leaves nothing behind in the real service; or all, if it asked to."""

import asyncio
import sys
from collections import Counter
from enum import StrEnum

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import ROOT
from tests.harness.service import Service, chat_request, running_service, text_of
from tests.integration.edge.guarded import STANDS_STILL, eventually

Policy = pb.DisconnectBehavior
PROMPTLY, LATER = 1.0, 5.0
"""Seconds."""
HELD = Script(tokens=("one", " two"), hold_after=1)


class Way(StrEnum):
    """How a caller can leave."""

    CANCEL = "cancels"
    CHANNEL = "closes its channel"
    DEADLINE = "has a deadline"
    KILL = "is killed"


async def leave(service: Service, way: Way, policy: "Policy.ValueType") -> str:
    """Open a stream, read it up to its first token, and leave it; the run's id."""
    if way is Way.KILL:
        return await be_killed(service, policy)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        request = chat_request(run_options=pb.RunOptions(on_disconnect=policy))
        call = stub.StreamChat(request, timeout=0.5 if way is Way.DEADLINE else None)
        stream = aiter(call)
        chunk = await anext(stream)
        while not chunk.HasField("content"):
            chunk = await anext(stream)
        if way is Way.CANCEL:
            call.cancel()
        if way is Way.DEADLINE:
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return chunk.run_id


async def be_killed(service: Service, policy: "Policy.ValueType") -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.edge.caller", str(service.port), Policy.Name(policy)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    run_id, payload = "", ""
    try:
        while payload != "content":
            run_id, payload = (await process.stdout.readline()).decode().split()
    finally:
        process.kill()
        await process.wait()
    return run_id


def tasks() -> Counter[str]:
    """This process's tasks by what they run, without those of the provider, who is a stranger here."""
    names = (task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    return Counter(name for name in names if name != "RequestHandler.start")


def handlers() -> int:
    """How many StreamChats the server is busy with."""
    return sum("/StreamChat]" in task.get_name() for task in asyncio.all_tasks())


async def no_handler_is_left() -> bool:
    return handlers() == 0


async def at_rest(service: Service) -> Counter[str]:
    """The tasks of a service that has worked and has nothing to do."""
    await service.chat()
    await eventually(no_handler_is_left, within=LATER)
    return tasks()


async def came_to_rest(service: Service, before: Counter[str]) -> None:
    async def nothing_runs() -> bool:
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        return health.details["active_runs"] == "0"

    async def nothing_more_than_before() -> bool:
        return not tasks() - before

    await eventually(nothing_runs, within=LATER)
    await eventually(nothing_more_than_before, within=LATER)


@pytest.mark.parametrize("way", Way)
async def test_a_caller_who_leaves_leaves_nothing_behind(service: Service, way: Way) -> None:
    before = await at_rest(service)
    service.provider.enqueue(HELD)
    run_id = await leave(service, way, pb.DISCONNECT_BEHAVIOR_CANCEL)
    upstream = await service.provider.call(2)
    assert await upstream.ended(within=PROMPTLY) is Outcome.CLIENT_GONE
    assert await service.run_ended(run_id) == "cancelled"
    await came_to_rest(service, before)


@pytest.mark.parametrize("way", Way)
async def test_a_run_that_may_continue_outlives_its_caller_and_then_leaves_nothing_behind(
    service: Service, way: Way
) -> None:
    before = await at_rest(service)
    service.provider.enqueue(HELD)
    run_id = await leave(service, way, pb.DISCONNECT_BEHAVIOR_CONTINUE)
    await eventually(no_handler_is_left, within=PROMPTLY)
    upstream = await service.provider.call(2)
    assert upstream.outcome is None
    upstream.release()
    assert await upstream.ended() is Outcome.COMPLETED
    assert await service.run_ended(run_id) == "succeeded"
    await came_to_rest(service, before)


async def test_a_caller_who_leaves_before_its_run_is_committed_leaves_nothing_behind(
    service: Service,
) -> None:
    before = await at_rest(service)
    service.provider.enqueue(HELD)
    locker = await asyncpg.connect(service.dsn)
    async with locker.transaction():
        await locker.execute("LOCK TABLE orchestrator.runs")
        call = service.stub.StreamChat(chat_request(user_id="bob"))
        upstream = await service.provider.call(2)  # the model is called while the run commits
        call.cancel()
        assert await upstream.ended(within=PROMPTLY) is Outcome.CLIENT_GONE

    async def is_cancelled() -> bool:
        query = "SELECT state FROM orchestrator.runs WHERE owner = 'bob'"
        return bool(await locker.fetchval(query) == "cancelled")

    await eventually(is_cancelled, within=LATER)
    await locker.close()
    await came_to_rest(service, before)


@pytest.mark.parametrize("options", [None, STANDS_STILL], ids=["takes all", "takes what it reads"])
@pytest.mark.parametrize(("script", "last"), [(Script(), "complete"), (Script(status=500), "error")])
async def test_a_stream_ends_by_itself_after_its_terminal_chunk_and_waits_for_no_reader(
    dsn: str, provider: ScriptedProvider, script: Script, last: str, options: list[tuple[str, int]] | None
) -> None:
    provider.enqueue(script)
    async with (
        running_service(dsn, provider, server={"max_streams_per_user": 1}) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=options) as channel,
    ):
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        stream = aiter(stub.StreamChat(chat_request()))
        while (await anext(stream)).WhichOneof("payload") != last:
            pass
        await eventually(no_handler_is_left, within=PROMPTLY)
        assert text_of(await service.chat())  # the one place that this user has is free


async def test_a_reader_who_stands_still_does_not_hold_up_the_run(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("word ",) * 200, token_interval=0.001))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}", options=STANDS_STILL) as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        call = stub.StreamChat(chat_request(stream_options=pb.StreamOptions()))
        stream = aiter(call)
        run_id = (await anext(stream)).run_id
        assert await service.run_ended(run_id) == "succeeded"
        assert handlers() == 1
        assert text_of(await service.chat("somebody else", user_id="bob"))
        rest = [chunk async for chunk in stream]
    assert text_of(rest) == "word " * 200
    assert rest[-1].HasField("complete")
