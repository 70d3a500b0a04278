"""A provider that goes down and comes back, seen through the real adapter."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from providers.breaker import BreakerSettings
from providers.gate.base import GateState, Unavailable
from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings
from providers.gate.prober import BackgroundProbe
from state.errors import (
    ProviderBrokenError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.gate.callers import Callers, callers_of

SETTINGS = GateSettings(
    breaker=BreakerSettings(consecutive_failures=5, reset_seconds=0.2, reset_cap_seconds=0.4),
    limit=LimitSettings(initial=64, latency_ignored_seconds=60.0),
)
DOWN = Script(status=503)


@pytest.fixture
async def callers(session: aiohttp.ClientSession, provider: ScriptedProvider) -> AsyncIterator[Callers]:
    async with callers_of(session, provider.base_url, SETTINGS) as callers:
        yield callers


async def opened(callers: Callers, provider: ScriptedProvider) -> None:
    provider.enqueue(*[DOWN] * 5)
    for _ in range(5):
        assert isinstance(await callers.call(), ProviderUnavailableError)
    assert callers.gate.snapshot().state is GateState.UNAVAILABLE


async def test_it_opens_lets_one_of_fifty_through_and_closes_for_all(
    callers: Callers, provider: ScriptedProvider
) -> None:
    await opened(callers, provider)
    provider.enqueue(Script(hold_after=1))
    waiting = [asyncio.create_task(callers.call()) for _ in range(50)]
    probe = await provider.call(6)
    await probe.sent(1)
    # Longer than the reset time: whoever else could get through would have.
    await asyncio.sleep(0.5)
    assert len(provider.ledger) == 6
    assert callers.gate.snapshot().state is GateState.PROBING
    probe.release()
    assert await asyncio.gather(*waiting) == [None] * 50
    assert len(provider.ledger) == 55
    assert callers.gate.snapshot().state is GateState.AVAILABLE


async def test_an_outage_costs_the_provider_one_call_per_probe(
    callers: Callers, provider: ScriptedProvider
) -> None:
    provider.default = DOWN
    stopped = asyncio.Event()
    await asyncio.gather(*(callers.call() for _ in range(50)))
    before = len(provider.ledger)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(callers.call_until(stopped))
        await asyncio.sleep(1.5)
        probes = len(provider.ledger) - before
        stopped.set()
        provider.default = Script()
    # The wait is 0.2, then 0.4 s, less a fifth at most.
    assert 2 <= probes <= 6


async def test_streams_that_break_after_their_first_token_open_it(
    callers: Callers, provider: ScriptedProvider
) -> None:
    provider.enqueue(*[Script(tokens=("a", "b"), fault=Fault(FaultKind.CUT, after=1))] * 5)
    for _ in range(5):
        assert isinstance(await callers.call(), ProviderBrokenError)
    assert isinstance(callers.gate.admit(), Unavailable)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 529])
async def test_refusals_do_not_open_it(callers: Callers, provider: ScriptedProvider, status: int) -> None:
    provider.enqueue(*[Script(status=status)] * 8)
    kind = ProviderSaturatedError if status in (429, 529) else ProviderRejectedError
    failures = [DOWN] * 4
    for _ in range(2):
        assert isinstance(await callers.call(), kind)
    provider.reset()
    provider.enqueue(*failures, Script(status=status), DOWN)
    for _ in failures:
        await callers.call()
    assert isinstance(await callers.call(), kind)
    assert callers.gate.snapshot().state is not GateState.UNAVAILABLE
    await callers.call()
    assert callers.gate.snapshot().state is GateState.UNAVAILABLE


async def test_a_cancelled_probe_goes_to_the_next_caller(
    callers: Callers, provider: ScriptedProvider
) -> None:
    await opened(callers, provider)
    provider.enqueue(Script(hold_after=1))
    leaver = asyncio.create_task(callers.call())
    await (await provider.call(6)).sent(1)
    other = asyncio.create_task(callers.call())
    leaver.cancel()
    assert await other is None
    assert len(provider.ledger) == 7
    assert callers.gate.snapshot().in_flight == 0
    await asyncio.wait([leaver])
    assert leaver.cancelled()


async def test_a_background_probe_keeps_calls_from_a_provider_that_cannot_be_reached(
    session: aiohttp.ClientSession,
) -> None:
    async with ScriptedProvider() as provider:
        port = provider.port
    async with callers_of(session, provider.base_url, SETTINGS) as callers:
        for _ in range(5):
            await callers.call()
        calls = len(callers.ended)
        async with BackgroundProbe(callers.gate, callers.model):
            waiting = asyncio.create_task(callers.call())
            await asyncio.sleep(1.0)
            assert len(callers.ended) == calls
            async with ScriptedProvider(port=port) as back:
                assert await waiting is None
                assert len(back.ledger) == 1
