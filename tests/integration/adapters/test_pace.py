"""What comes while nobody looks is read in one go, and no piece of it is lost or late."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from time import monotonic

from providers.base import ModelFinished, TextDelta
from state.errors import ProviderBrokenError
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.adapters.reading import PATIENT, QUESTION, TOKENS, Make, read


def looking_every(seconds: float) -> Callable[[], float]:
    return lambda: monotonic() + seconds


async def test_text_is_not_read_before_it_is_looked_at(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=TOKENS, token_interval=0.005))
    moments: list[float] = []

    def pace() -> float:
        moments.append(monotonic() + 0.1)
        return moments[-1]

    texts: list[str] = []
    async with aclosing(make().stream(replace(QUESTION, pace=pace))) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                assert not moments or monotonic() >= moments[-1]
                texts.append(delta.text)
    assert texts == list(TOKENS)
    assert len(moments) < len(TOKENS)  # several of them came together


async def test_who_always_looks_waits_for_nothing(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=2))
    async with aclosing(make().stream(replace(QUESTION, pace=lambda: 0.0))) as deltas:
        async for delta in deltas:
            if delta == TextDelta(TOKENS[1]):
                provider.release()
    assert isinstance(delta, ModelFinished)


async def test_time_in_which_nobody_looks_is_not_the_providers(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, token_interval=0.02))
    request = replace(QUESTION, pace=looking_every(0.2))
    result = await read(make(timeouts=replace(PATIENT, between_tokens=0.1)), request)
    assert result.error is None
    assert result.text == "".join(TOKENS)


async def test_a_connection_that_breaks_while_nobody_looks_is_found_broken(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, fault=Fault(FaultKind.CUT, after=3)))
    result = await read(make(), replace(QUESTION, pace=looking_every(0.1)))
    assert isinstance(result.error, ProviderBrokenError)
    assert result.text == "".join(TOKENS[:3])


async def test_leaving_while_nobody_looks_frees_the_provider(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=2))
    rests = asyncio.Event()

    def pace() -> float:
        rests.set()
        return monotonic() + 60

    reading = asyncio.create_task(read(make(), replace(QUESTION, pace=pace)))
    await asyncio.wait_for(rests.wait(), 5)
    reading.cancel()
    await asyncio.wait({reading}, timeout=5)
    assert reading.cancelled()
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE
