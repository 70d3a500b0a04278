"""A provider with room for so many calls, and how the limit finds out how many."""

import asyncio
from time import monotonic

import aiohttp
import pytest

from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings
from state.errors import ProviderSaturatedError
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import report
from tests.integration.gate.callers import Callers, callers_of

CALLERS = 60
ADAPTS_SECONDS = 10.0
WATCHED_SECONDS = 6.0
# About 0.3 s each; two busy cores must not be what is measured.
ANSWER = Script(tokens=("a", "b", "c"), first_token_delay=0.1, token_interval=0.1)


async def watched(callers: Callers, seconds: float) -> list[int]:
    """The limit, every tenth of a second."""
    limits = []
    until = monotonic() + seconds
    while monotonic() < until:
        limits.append(callers.gate.snapshot().concurrency_limit)
        await asyncio.sleep(0.1)
    return limits


@pytest.mark.parametrize(("before", "after"), [(40, 20), (16, 8)])
async def test_when_the_providers_room_is_halved_the_limit_follows_and_hardly_a_call_is_refused(
    session: aiohttp.ClientSession, before: int, after: int
) -> None:
    settings = GateSettings(limit=LimitSettings(initial=before, latency_ignored_seconds=60.0))
    stopped = asyncio.Event()
    async with (
        ScriptedProvider(default=ANSWER, capacity=before) as provider,
        callers_of(session, provider.base_url, settings) as callers,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CALLERS):
            group.create_task(callers.call_until(stopped))
        await asyncio.sleep(1.0)
        provider.capacity = after
        halved = monotonic()
        limits = await watched(callers, ADAPTS_SECONDS)
        adapted = monotonic()
        settled = await watched(callers, WATCHED_SECONDS)
        calls, refused = callers.since(adapted), callers.since(adapted, ProviderSaturatedError)
        stopped.set()
        provider.capacity = None
    wrong = [number for number, limit in enumerate(limits) if abs(limit - after) > 0.2 * after]
    report(
        f"capacity {before} to {after}: limit within 20 % after {0.1 * (max(wrong, default=-1) + 1):.1f} s, "
        f"then {min(settled)} to {max(settled)}; {refused} of {calls} calls refused after that, "
        f"{callers.since(halved, ProviderSaturatedError)} since the halving"
    )
    assert 0.8 * after <= min(settled) <= max(settled) <= 1.2 * after
    assert calls > WATCHED_SECONDS * after
    assert refused <= 0.02 * calls
