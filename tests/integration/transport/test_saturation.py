"""A server that takes no more streams still tells how it is, and one busy user slows nobody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from statistics import median

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request, running_service
from tests.harness.statuses import error_info
from tests.integration.test_health import SERVING, standard_check, standard_watch, watched
from tests.integration.transport.callers import (
    Caller,
    calling,
    failure_of,
    first_token_seconds,
    hold,
    rest_of,
)

SAMPLES = 15
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def check(caller: Caller) -> None:
    assert await standard_check(caller.channel) == SERVING


async def watch(caller: Caller) -> None:
    call = standard_watch(caller.channel)
    await watched(call, SERVING)
    call.cancel()


async def our_own_check(caller: Caller) -> None:
    assert (await caller.stub.HealthCheck(pb.HealthCheckRequest())).status == "healthy"


async def server_info(caller: Caller) -> None:
    assert (await caller.stub.GetServerInfo(pb.GetServerInfoRequest())).version


async def reflection(caller: Caller) -> None:
    ask = caller.channel.stream_stream(
        REFLECTION,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer: reflection_pb2.ServerReflectionResponse = await anext(aiter(ask(iter([request]))))
    assert answer.list_services_response.service


Question = Callable[[Caller], Awaitable[None]]


@pytest.mark.parametrize("question", [check, watch, our_own_check, server_info, reflection])
async def test_a_saturated_server_still_answers(
    dsn: str, provider: ScriptedProvider, question: Question
) -> None:
    settings = {"max_streams": 2, "max_calls": 1, "max_calls_per_user": 1}
    async with running_service(dsn, provider, server=settings) as service, calling(service.port) as caller:
        held = [await hold(service, service.stub, user_id=user) for user in ("ann", "bob")]
        async with hammering(service, "cy", "OVERLOADED"):
            async with asyncio.timeout(1):
                await asyncio.gather(*(question(caller) for _ in range(5)))
        for one in held:
            one.upstream.release()
            await rest_of(one.stream)


async def test_twenty_watches_do_not_keep_a_check_waiting(service: Service) -> None:
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(service.port)) for _ in range(20)]
        watches = [standard_watch(caller.channel) for caller in callers]
        await asyncio.gather(*(watched(watch, SERVING) for watch in watches))
        async with asyncio.timeout(1):
            await asyncio.gather(*(check(caller) for caller in callers))
        assert not any(watch.done() for watch in watches)


@asynccontextmanager
async def hammering(service: Service, user: str, reason: str) -> AsyncIterator[list[str]]:
    """Two loops of calls that are refused, for the length of the block; yields the reasons so far."""
    reasons: list[str] = []
    began = asyncio.Event()

    async def hammer(caller: Caller) -> None:
        while True:
            error = await failure_of(caller.stub.StreamChat(chat_request(user_id=user)))
            reasons.append(error_info(error).reason)
            began.set()

    async with calling(service.port) as caller:
        loops = [asyncio.create_task(hammer(caller), name="hammer") for _ in range(2)]
        try:
            async with asyncio.timeout(5):
                await began.wait()
            yield reasons
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            assert set(reasons) <= {reason}


async def test_a_user_at_the_limit_who_goes_on_calling_does_not_slow_another(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Measured in turns, so that whatever else the machine does slows both sides."""
    beside: dict[bool, list[float]] = {False: [], True: []}
    refused = 0
    settings = {"max_streams_per_user": 4}
    async with running_service(dsn, provider, server=settings) as service, calling(service.port) as bob:
        held = [await hold(service, service.stub, user_id="ann") for _ in range(4)]
        for _ in range(SAMPLES):
            beside[False].append(await first_token_seconds(bob.stub, "bob"))
            async with hammering(service, "ann", "QUOTA") as reasons:
                beside[True].append(await first_token_seconds(bob.stub, "bob"))
                refused += len(reasons)
        for one in held:
            one.upstream.release()
            await rest_of(one.stream)
    assert refused > 2 * SAMPLES
    assert median(beside[True]) < 5 * median(beside[False])


BURST = 2500


async def test_each_of_a_burst_of_callers_is_told_why_it_is_refused(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Left alone, gRPC cancels some of those who wait for a handler, as if they had wanted it."""
    async with running_service(dsn, provider, server={"max_streams": 1}) as service:
        provider.default = Script(hold_after=0)
        burst = [service.stub.StreamChat(chat_request(user_id=f"user-{n}")) for n in range(BURST)]
        reads = [asyncio.create_task(call.code()) for call in burst]
        codes: Counter[grpc.StatusCode] = Counter()
        for ending in islice(asyncio.as_completed(reads), BURST - 1):
            codes[await ending] += 1
        for call in burst:
            call.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
    assert codes == {grpc.StatusCode.UNAVAILABLE: BURST - 1}
