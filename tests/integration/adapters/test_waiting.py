"""How long the adapter waits, and how it stops."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import aiohttp
import pytest

from providers.base import CallAccepted, TextDelta
from state.errors import DeadlineExceededError, ProviderBrokenError, ProviderUnavailableError
from tests.fakes.scripted_provider.addresses import refusing_address, silent_address
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.adapters.reading import (
    QUESTION,
    TOKENS,
    Make,
    Nowhere,
    read,
)


async def test_a_refused_connection_is_unavailable(make: Make) -> None:
    with refusing_address() as address:
        result = await read(make(f"http://{address}"))
    assert isinstance(result.error, ProviderUnavailableError)


async def test_a_name_without_an_address_is_unavailable(make: Make) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Nowhere())) as session:
        result = await read(make("http://llm.acme.test", session=session))
    assert isinstance(result.error, ProviderUnavailableError)


async def test_a_server_without_tls_is_unavailable_over_https(provider: ScriptedProvider, make: Make) -> None:
    result = await read(make(provider.address.replace("http:", "https:")))
    assert isinstance(result.error, ProviderUnavailableError)


async def test_a_connection_that_does_not_come_about_is_given_up(make: Make) -> None:
    with silent_address() as address:
        result = await read(make(f"http://{address}", connect=0.1))
    assert isinstance(result.error, ProviderUnavailableError)
    assert "took no connection in time" in str(result.error)


@pytest.mark.parametrize("limits", [{"first_token": 0.15}, {"total": 0.15}], ids=["first token", "total"])
async def test_keep_alive_comments_do_not_postpone_the_first_token(
    provider: ScriptedProvider, make: Make, limits: dict[str, float]
) -> None:
    provider.enqueue(Script(first_token_delay=4, keep_alive=0.02))
    result = await read(make(**limits))
    assert isinstance(result.error, ProviderUnavailableError)
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


async def test_keep_alive_comments_do_not_postpone_the_next_token(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=2, keep_alive=0.02))
    result = await read(make(between_tokens=0.15))
    assert isinstance(result.error, ProviderBrokenError)
    assert result.text == "".join(TOKENS[:2])
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


async def test_an_answer_may_take_longer_than_the_wait_for_any_of_its_tokens(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS * 2, token_interval=0.05))
    result = await read(make(first_token=0.2, between_tokens=0.2))
    assert result.error is None
    assert result.text == "".join(TOKENS * 2)


async def test_a_slow_consumer_is_not_taken_for_a_slow_provider(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=2))
    texts: list[str] = []
    async with aclosing(make(between_tokens=0.1).stream(QUESTION)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                texts.append(delta.text)
            if texts == list(TOKENS[:2]):
                await asyncio.sleep(0.3)  # longer than the provider may take
                provider.release()
    assert texts == list(TOKENS)


async def test_an_answer_that_only_drips_ends_with_the_total_time(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=("drip",) * 100, token_interval=0.02))
    result = await read(make(total=0.3, between_tokens=0.2))
    assert isinstance(result.error, ProviderBrokenError)
    assert result.text.startswith("dripdrip")
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


async def test_closing_the_stream_frees_the_provider(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=2))
    async with aclosing(make().stream(QUESTION)) as deltas:
        assert await anext(deltas) == CallAccepted()
        assert await anext(deltas) == TextDelta(TOKENS[0])
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


@pytest.mark.parametrize(
    "script",
    [Script(hold_after=2), Script(hold_after=0), Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS))],
    ids=["between tokens", "before the first token", "before the headers"],
)
async def test_cancelling_the_consumer_frees_the_provider_and_stays_a_cancellation(
    provider: ScriptedProvider, make: Make, script: Script
) -> None:
    provider.enqueue(script)
    reading = asyncio.create_task(read(make()))
    call = await provider.call(1)
    await call.sent(script.hold_after or 0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await call.ended(within=1) is Outcome.CLIENT_GONE


async def test_the_callers_own_deadline_is_not_taken_for_the_providers(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(hold_after=2))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await read(make())
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


async def test_a_broken_stream_leaves_no_connection_behind(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(fault=Fault(FaultKind.GARBAGE_LINE, after=2), hold_after=3))
    result = await read(make())
    assert isinstance(result.error, ProviderBrokenError)
    await provider.ledger[0].ended(within=1)
    assert provider.in_flight == 0


async def test_a_probe_connects_and_asks_nothing(provider: ScriptedProvider, make: Make) -> None:
    await make().probe()
    assert provider.ledger == []


async def test_a_probe_of_a_dead_address_says_so(make: Make) -> None:
    with refusing_address() as address, pytest.raises(ProviderUnavailableError):
        await make(f"http://{address}").probe()


async def test_a_probe_gives_up_in_time(make: Make) -> None:
    with silent_address() as address, pytest.raises(ProviderUnavailableError):
        await make(f"http://{address}", connect=0.1).probe()


async def test_a_probe_over_https_wants_tls(provider: ScriptedProvider, make: Make) -> None:
    with pytest.raises(ProviderUnavailableError):
        await make(provider.address.replace("http:", "https:")).probe()


@pytest.mark.parametrize(
    "script",
    [
        Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS)),
        Script(tokens=TOKENS, hold_after=2),
        Script(tokens=TOKENS * 100, token_interval=0.02),
    ],
    ids=["before the first token", "between tokens", "while tokens flow"],
)
async def test_the_callers_deadline_ends_a_call_and_is_no_fault_of_the_provider(
    provider: ScriptedProvider, make: Make, script: Script
) -> None:
    provider.enqueue(script)
    loop = asyncio.get_running_loop()
    began = loop.time()
    request = replace(QUESTION, deadline=began + 0.2)
    with pytest.raises(DeadlineExceededError):
        await read(make(), request)
    assert 0.15 < loop.time() - began < 2
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE
