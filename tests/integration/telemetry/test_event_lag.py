"""How old the oldest event is that no broker has."""

import asyncio

import asyncpg

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


async def told(address: str) -> list[float]:
    """The lag, also where it is 0."""
    return [value for (name, _), value in (await scrape(address)).items() if name == LAG]


async def test_the_lag_is_known_where_nobody_relays(dsn: str, provider: ScriptedProvider) -> None:
    address = free_address()
    nobody = {"brokers": "127.0.0.1:1", "relay": False}
    async with running_service(dsn, provider, metrics={"address": address}, events=nobody) as service:
        assert await told(address) == [0.0]
        await service.chat()
        [first] = await told(address)
        [second] = await told(address)
        assert 0.0 < first < second
        connection = await asyncpg.connect(dsn)
        await connection.execute("DELETE FROM orchestrator.outbox")  # as a relay elsewhere does
        await connection.close()
        assert await told(address) == [0.0]


async def test_without_a_broker_nothing_waits_for_one(dsn: str, provider: ScriptedProvider) -> None:
    address = free_address()
    async with running_service(dsn, provider, metrics={"address": address}) as service:
        await service.chat()
        assert await told(address) == []
