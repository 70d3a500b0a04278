"""A provider whose room is halved while callers use all of it, seen through the service."""

import asyncio
from pathlib import Path
from time import monotonic

from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import report
from tests.harness.service import Service
from tests.integration.provider_first.asking import WAIT, ask, one_model, service_with, shown

BEFORE, AFTER, CALLERS = 16, 8, 24
FULL_SECONDS, ADAPTS_SECONDS, WATCHED_SECONDS = 1.0, 10.0, 6.0
# About 0.3 s each; two busy cores must not be what is measured.
ANSWER = Script(tokens=("a", "b", "c"), first_token_delay=0.1, token_interval=0.1)


async def limits_of(service: Service, seconds: float) -> list[int]:
    """The limit as GetProviderStatus shows it, every tenth of a second."""
    limits = []
    until = monotonic() + seconds
    while monotonic() < until:
        limits.append((await shown(service)).concurrency_limit)
        await asyncio.sleep(0.1)
    return limits


async def call_until(service: Service, name: str, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        await ask(service, name, WAIT)


async def test_the_limit_follows_a_provider_whose_room_is_halved_and_hardly_a_call_is_refused(
    dsn: str, tmp_path: Path
) -> None:
    stopped = asyncio.Event()
    async with ScriptedProvider(default=ANSWER, capacity=BEFORE) as provider:
        text = one_model(provider, f"limits = {{ max_concurrency = {BEFORE} }}")
        async with (
            service_with(dsn, provider, tmp_path / "p.toml", text) as service,
            asyncio.TaskGroup() as group,
        ):
            for number in range(CALLERS):
                group.create_task(call_until(service, f"caller {number}", stopped))
            await asyncio.sleep(FULL_SECONDS)
            provider.capacity = AFTER
            await limits_of(service, ADAPTS_SECONDS)
            adapted = len(provider.ledger)
            limits = await limits_of(service, WATCHED_SECONDS)
            calls = provider.ledger[adapted:]
            stopped.set()
            provider.capacity = None
    refused = sum(call.outcome is Outcome.REFUSED for call in calls)
    report(
        f"capacity {BEFORE} to {AFTER} through the service: after {ADAPTS_SECONDS:.0f} s the limit is "
        f"{min(limits)} to {max(limits)}; {refused} of {len(calls)} calls refused from then on"
    )
    assert 0.8 * AFTER <= min(limits) <= max(limits) <= 1.2 * AFTER
    assert len(calls) > WATCHED_SECONDS * AFTER
    assert refused <= 0.02 * len(calls)
