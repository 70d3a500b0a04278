"""Two providers and a pool over them."""

from collections.abc import AsyncIterator, Iterator, Mapping

import aiohttp
import pytest

from providers.http.session import open_session
from providers.pool.assembly import AdapterFactory
from providers.pool.search import RetryPolicy
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.pool.pools import TWO, MakePool, Pool, openai_compatible

QUICK = RetryPolicy(rounds=2, pause_seconds=0.005)


@pytest.fixture
async def first() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def make_pool(
    session: aiohttp.ClientSession, first: ScriptedProvider, second: ScriptedProvider
) -> Iterator[MakePool]:
    """Makes pools; in the end each permit that any of their gates gave must have ended just once."""
    made: list[Pool] = []

    def make(
        text: str = TWO,
        *,
        environment: Mapping[str, str] | None = None,
        failures_to_open: int = 1_000_000,
        policy: RetryPolicy = QUICK,
        production: bool = False,
        adapters: Mapping[str, AdapterFactory] | None = None,
        **addresses: str,
    ) -> Pool:
        http = openai_compatible(session)
        pool = Pool(
            adapters or {"openai": http, "scripted": http},
            text,
            {"first": first.base_url, "second": second.base_url, **addresses},
            environment or {},
            failures_to_open,
            policy,
            production,
        )
        made.append(pool)
        return pool

    yield make
    for pool in made:
        for gate in pool.all_gates:
            gate.check()


@pytest.fixture
def pool(make_pool: MakePool) -> Pool:
    return make_pool()
