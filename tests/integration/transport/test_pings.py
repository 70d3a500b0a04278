"""Callers may ask whether the server lives, but not more often than `min_ping_interval_seconds`."""

import asyncio

import grpc

from config.settings import ServerSettings
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service, running_service, text_of
from tests.integration.transport.callers import calling, failure_of, hold, rest_of
from tests.integration.transport.http2_peer import TOO_MANY_PINGS, Http2Peer, http2_peer

DEFAULT = ServerSettings().min_ping_interval_seconds
SCALE = 0.005
"""What is tested of the default is tested this many times faster."""


async def pinged(peer: Http2Peer, times: int, *, every: float) -> None:
    for _ in range(times):
        await peer.ping()
        await asyncio.sleep(every)


async def test_a_caller_that_asks_too_often_is_sent_away(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, server={"min_ping_interval_seconds": 0.5}) as service,
        http2_peer(service.port) as peer,
    ):
        await pinged(peer, 4, every=0.01)
        await peer.gone()
        assert peer.farewell == TOO_MANY_PINGS
        assert text_of(await service.chat())


async def test_a_caller_that_keeps_to_the_interval_stays(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, server={"min_ping_interval_seconds": 0.05}) as service,
        http2_peer(service.port) as peer,
    ):
        await pinged(peer, 6, every=0.06)
        assert peer.farewell is None


async def test_zero_lets_callers_ask_as_often_as_they_like(dsn: str, provider: ScriptedProvider) -> None:
    async with (
        running_service(dsn, provider, server={"min_ping_interval_seconds": 0.0}) as service,
        http2_peer(service.port) as peer,
    ):
        await pinged(peer, 50, every=0)
        assert peer.farewell is None


async def test_the_default_lets_callers_with_the_customary_keepalive_live(
    dsn: str, provider: ScriptedProvider
) -> None:
    settings = {"min_ping_interval_seconds": DEFAULT * SCALE}

    async def farewell(service: Service, keepalive: float) -> tuple[int, bytes] | None:
        # A busy machine asks less often than it means to: then who asks too often needs more pings.
        left = 5 if keepalive >= DEFAULT else 60
        async with http2_peer(service.port) as peer:
            while left and peer.farewell is None:
                await pinged(peer, 1, every=keepalive * SCALE)
                left -= 1
            return peer.farewell

    async with running_service(dsn, provider, server=settings) as service:
        farewells = await asyncio.gather(*(farewell(service, keepalive) for keepalive in (5, 10, 20, 30)))
    assert farewells == [TOO_MANY_PINGS, None, None, None]


async def test_too_many_pings_end_the_calls_of_their_caller_as_unavailable(
    dsn: str, provider: ScriptedProvider
) -> None:
    """gRPC's own client asks once a second at most, so this takes five."""
    eager = {
        "grpc.keepalive_time_ms": 1000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
    }
    strict, lenient = {"min_ping_interval_seconds": 3.0}, {"min_ping_interval_seconds": 0.5}
    async with (
        running_service(dsn, provider, server=strict) as strict_service,
        running_service(dsn, provider, server=lenient) as lenient_service,
        calling(strict_service.port, eager) as refused,
        calling(lenient_service.port, eager) as welcome,
    ):
        lives = await hold(lenient_service, welcome.stub)
        ends = await hold(strict_service, refused.stub)
        async with asyncio.timeout(15):
            error = await failure_of(ends.stream)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        await asyncio.sleep(1.1)  # one ping more
        lives.upstream.release()
        assert text_of(await rest_of(lives.stream)) == " two"
