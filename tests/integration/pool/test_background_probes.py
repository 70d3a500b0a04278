"""What a pool owns beside its models: gates that end with their entries, and probes where they are wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from providers.base import ChatModel
from providers.breaker import BreakerSettings
from providers.file.endpoints import Endpoint
from providers.file.entries import ProviderConfiguration
from providers.file.reading import parse_configuration
from providers.gate.gate import ModelGate
from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings
from providers.pool.assembly import AdapterFactory, Assembly
from providers.pool.choice import PinnedChoice
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.gate.callers import Callers
from tests.integration.pool.pools import TWO, Pool, openai_compatible

QUICK = GateSettings(
    breaker=BreakerSettings(consecutive_failures=5, reset_seconds=0.05, reset_cap_seconds=0.1),
    limit=LimitSettings(initial=64, latency_ignored_seconds=60.0),
)


def configuration(address: str, more: str = "") -> ProviderConfiguration:
    text = TWO.replace('"{first}"', f'"{address}"\n{more}')
    text = text.replace("{second}", "http://127.0.0.1:1/v1")
    return parse_configuration("p.toml", text.encode(), {}, production=False)


@asynccontextmanager
async def pool_of(first: ProviderConfiguration, adapter: AdapterFactory) -> AsyncIterator[ModelPool]:
    assembly = Assembly({"openai": adapter}, quick_gate, {}, production=False)
    async with ModelPool(assembly, first, retry_budget=RetryBudget()) as pool:
        yield pool


class Defective:
    """A model that works but for its probe."""

    def __init__(self, model: ChatModel) -> None:
        self.info = model.info
        self.stream = model.stream

    async def probe(self) -> None:
        raise ValueError("a defect of ours")


def quick_gate(endpoint: Endpoint) -> ModelGate:
    return ModelGate(endpoint.info, QUICK)


def callers_of(pool: ModelPool) -> Callers:
    candidate = pool.candidates[0]
    assert isinstance(candidate.gate, ModelGate)
    callers = Callers(candidate.gate, candidate.model)
    pool.on_room(PinnedChoice("one"), callers.wake)
    return callers


def probes() -> int:
    """How many background probes there are."""
    return sum(task.get_name() == "background probe" for task in asyncio.all_tasks())


@pytest.mark.parametrize("wanted", [True, False])
async def test_background_probe_says_who_finds_out_that_a_provider_is_still_away(
    session: aiohttp.ClientSession, wanted: bool
) -> None:
    async with ScriptedProvider() as provider:
        port = provider.port
    more = f"background_probe = {str(wanted).lower()}"
    async with pool_of(configuration(provider.base_url, more), openai_compatible(session)) as pool:
        callers = callers_of(pool)
        for _ in range(5):
            await callers.call()
        waiting = asyncio.create_task(callers.call())
        if not wanted:
            assert await waiting is not None
            assert probes() == 0
            return
        await asyncio.sleep(0.5)
        assert len(callers.ended) == 5
        async with ScriptedProvider(port=port) as back:
            assert await waiting is None
            assert len(back.ledger) == 1


async def test_probes_begin_and_end_with_the_configuration_and_the_pool(
    session: aiohttp.ClientSession,
) -> None:
    on, off = (configuration("http://127.0.0.1:2/v1", f"background_probe = {b}") for b in ("true", "false"))
    async with pool_of(off, openai_compatible(session)) as pool:
        gates = [candidate.gate for candidate in pool.candidates]
        counted = [probes()]
        for configured in (on, on, off, on):
            pool.exchange(configured)
            await asyncio.sleep(0)
            counted.append(probes())
        assert [candidate.gate for candidate in pool.candidates] == gates
    assert counted == [0, 1, 1, 0, 1]
    assert probes() == 0


async def test_names_of_one_model_share_its_probe(session: aiohttp.ClientSession) -> None:
    shared = configuration("http://127.0.0.1:2/v1", "background_probe = true")
    alias = replace_model(shared)
    async with pool_of(alias, openai_compatible(session)):
        assert probes() == 1


def replace_model(configured: ProviderConfiguration) -> ProviderConfiguration:
    alias = configured.models["one"].model_copy(update={"model": "one", "context_tokens": 4096})
    return configured.model_copy(update={"models": {**configured.models, "alias": alias}})


async def test_a_probe_that_dies_of_a_defect_is_told(session: aiohttp.ClientSession) -> None:
    working = openai_compatible(session)

    async with ScriptedProvider() as provider:
        pass
    async with pool_of(
        configuration(provider.base_url, "background_probe = true"), lambda e: Defective(working(e))
    ) as pool:
        callers = callers_of(pool)
        for _ in range(5):
            await callers.call()
        with pytest.raises(ValueError, match="defect"):
            await asyncio.wait_for(pool.died(), 5)


async def test_gates_that_a_new_file_replaces_are_closed_and_no_others(pool: Pool) -> None:
    before = dict(pool.gates)
    pool.pool.exchange(pool.read(TWO.replace('"{first}"', '"{first}"\nlimits = { max_concurrency = 3 }')))
    assert (before["one"].closed, before["two"].closed, pool.gates["one"].closed) == (True, False, False)
    two = '[models.two]\nprovider = "second"\ncontext_tokens = 8192\n'
    without = TWO.replace(two, "").replace('fast = ["two"]\n', "").replace('["one", "two"]', '["one"]')
    pool.pool.exchange(pool.read(without))
    assert before["two"].closed


async def test_leaving_the_pool_closes_its_gates(pool: Pool) -> None:
    async with pool.pool:
        assert not any(gate.closed for gate in pool.all_gates)
    assert all(gate.closed for gate in pool.all_gates)
