"""How old the oldest event is that no broker has."""

import asyncio

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.metrics import free_address, samples, scrape
from tests.harness.service import running_service

LAG = "orchestrator_event_lag_seconds"


async def test_events_that_wait_for_their_broker_show_in_the_lag(
    dsn: str, provider: ScriptedProvider
) -> None:
    address = free_address()
    away = {"brokers": "127.0.0.1:1", "lag_seconds": 0.05, "look_seconds": 0.05}
    async with running_service(dsn, provider, metrics={"address": address}, events=away) as service:
        await service.chat()
        async with asyncio.timeout(20):
            while not samples(await scrape(address), LAG).get((), 0.0) > 0.0:
                await service.chat()


async def test_without_a_broker_nothing_waits_for_one(dsn: str, provider: ScriptedProvider) -> None:
    address = free_address()
    async with running_service(dsn, provider, metrics={"address": address}) as service:
        await service.chat()
        assert samples(await scrape(address), LAG) == {}
