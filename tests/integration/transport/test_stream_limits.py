"""As many streams as the settings say, for one user and in all; a place is free once its stream has ended."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.raw import raw_stream
from tests.harness.service import Service, chat_request, running_service, text_of
from tests.harness.statuses import error_info, retry_delay
from tests.integration.transport.callers import (
    HELD,
    Held,
    admitted,
    failure_of,
    hold,
    quota_subjects,
    rest_of,
)

STREAM_CHAT = "/orchestrator.OrchestratorService/StreamChat"
ONE = {"max_streams_per_user": 1}


async def refusal(service: Service, user: str) -> grpc.aio.AioRpcError:
    return await failure_of(service.stub.StreamChat(chat_request(user_id=user)))


async def runs_of(service: Service) -> int:
    connection = await asyncpg.connect(service.dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM orchestrator.runs"))
    finally:
        await connection.close()


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_user_gets_as_many_streams_as_the_setting_and_the_next_is_refused(
    dsn: str, provider: ScriptedProvider, limit: int
) -> None:
    async with running_service(dsn, provider, server={"max_streams_per_user": limit}) as service:
        held = [await hold(service, service.stub, user_id="ann") for _ in range(limit)]
        error = await refusal(service, "ann")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_info(error).reason == "QUOTA"
        assert quota_subjects(error) == ["user:ann"]
        assert retry_delay(error)
        assert len(provider.ledger) == await runs_of(service) == limit
        assert text_of(await service.chat(user_id="bob"))
        await finish(held)


@pytest.mark.parametrize("limit", [1, 3])
async def test_the_server_takes_as_many_streams_as_the_setting_and_refuses_the_next(
    dsn: str, provider: ScriptedProvider, limit: int
) -> None:
    async with running_service(dsn, provider, server={"max_streams": limit}) as service:
        held = [await hold(service, service.stub, user_id=f"user-{number}") for number in range(limit)]
        error = await refusal(service, "one more")
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(error).reason == "OVERLOADED"
        assert quota_subjects(error) == []
        assert retry_delay(error)
        assert len(provider.ledger) == await runs_of(service) == limit
        await finish(held)


async def finish(held: list[Held]) -> None:
    for one in held:
        one.upstream.release()
        assert text_of(await rest_of(one.stream)) == " two"


async def completes(service: Service, user: str) -> None:
    await service.chat(user_id=user)


async def is_refused_by_the_provider(service: Service, user: str) -> None:
    service.provider.enqueue(Script(status=500))
    await refusal(service, user)


async def breaks_off(service: Service, user: str) -> None:
    service.provider.enqueue(Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)))
    await refusal(service, user)


async def is_invalid(service: Service, user: str) -> None:
    await failure_of(service.stub.StreamChat(chat_request("", user_id=user)))


async def is_no_message(service: Service, user: str) -> None:
    del user
    with pytest.raises(grpc.aio.AioRpcError):
        await raw_stream(service.channel, STREAM_CHAT, b"\xff")


async def is_cancelled_at_once(service: Service, user: str) -> None:
    service.stub.StreamChat(chat_request(user_id=user)).cancel()


async def is_cancelled_midway(service: Service, user: str) -> None:
    service.provider.enqueue(HELD)
    call = service.stub.StreamChat(chat_request(user_id=user))
    await call.read()
    call.cancel()


async def passes_its_deadline(service: Service, user: str) -> None:
    service.provider.enqueue(HELD)
    with suppress(grpc.aio.AioRpcError):
        await rest_of(service.stub.StreamChat(chat_request(user_id=user), timeout=0.05))


Ending = Callable[[Service, str], Awaitable[None]]


@pytest.mark.parametrize(
    "ending", [completes, is_refused_by_the_provider, breaks_off, is_invalid, is_no_message]
)
async def test_whoever_has_seen_a_stream_end_can_begin_another_at_once(
    dsn: str, provider: ScriptedProvider, ending: Ending
) -> None:
    async with running_service(dsn, provider, server=ONE) as service:
        for _ in range(8):
            await ending(service, "ann")
            assert text_of(await service.chat(user_id="ann"))


@pytest.mark.parametrize("ending", [is_cancelled_at_once, is_cancelled_midway, passes_its_deadline])
async def test_a_place_is_free_soon_after_its_caller_has_left(
    dsn: str, provider: ScriptedProvider, ending: Ending
) -> None:
    async with running_service(dsn, provider, server=ONE) as service:
        for _ in range(3):
            await ending(service, "ann")
            async with asyncio.timeout(1):
                await admitted(service, "ann")


SCRIPTS = (Script(), Script(status=500), Script(tokens=("a",), fault=Fault(FaultKind.CUT, after=1)), HELD)


async def test_after_any_mix_of_endings_just_the_limit_fits(dsn: str, provider: ScriptedProvider) -> None:
    dice, settings = random.Random(0), {"max_streams_per_user": 2, "max_streams": 5}

    async def one(user: str) -> None:
        provider.enqueue(dice.choice(SCRIPTS))
        query = dice.choice(("hello", "hello", ""))
        call = service.stub.StreamChat(chat_request(query, user_id=user), timeout=dice.choice((0.1, 0.3)))
        for _ in range(dice.choice((0, 1, 2, 100))):
            if not isinstance(await call.read(), pb.ChatChunk):
                return
        call.cancel()

    async with running_service(dsn, provider, server=settings) as service:
        for _ in range(5):
            users = ("ann", "bob", "cy") * 4
            await asyncio.gather(*(one(user) for user in users), return_exceptions=True)
        provider.reset()
        held = [await soon(service, user) for user in ("ann", "ann", "bob", "bob", "cy")]
        for user, reason in (("ann", "QUOTA"), ("cy", "OVERLOADED"), ("dee", "OVERLOADED")):
            assert error_info(await refusal(service, user)).reason == reason
        await finish(held)


async def soon(service: Service, user: str) -> Held:
    """Hold a stream as soon as the last one's place is free."""
    async with asyncio.timeout(2):
        await admitted(service, user)
    return await hold(service, service.stub, user_id=user)


@pytest.mark.parametrize("burst", [1, 3])
async def test_a_user_who_asks_too_often_is_refused_calls_and_streams_alike(
    dsn: str, provider: ScriptedProvider, burst: int
) -> None:
    settings = {"user_requests_per_second": 0.01, "user_burst": burst}
    async with running_service(dsn, provider, server=settings) as service:
        for _ in range(burst):
            assert text_of(await service.chat(user_id="ann"))
        error = await refusal(service, "ann")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_info(error).reason == "QUOTA"
        assert quota_subjects(error) == ["user:ann"]
        assert 90 < (retry_delay(error) or 0) <= 100
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
        assert text_of(await service.chat(user_id="bob"))
        for _ in range(5):
            assert (await service.stub.HealthCheck(pb.HealthCheckRequest())).status == "healthy"
