"""What the adapter makes of answers that end well."""

import asyncio
from dataclasses import replace

import pytest

from providers.base import ModelFinished, ReasoningDelta, TextDelta, TokenCount
from state.models import FinishReason
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedUsage
from tests.integration.adapters.reading import (
    QUESTION,
    TOKENS,
    Make,
    Read,
    read,
)
from tests.integration.adapters.vendors import Vendor


async def test_an_answer_arrives_token_by_token_and_ends_with_what_it_was(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    usage = ScriptedUsage(11, 6, cached_tokens=4, reasoning_tokens=2)
    provider.enqueue(Script(tokens=TOKENS, usage=usage, generation_id="gen-1", model="small-2026"))
    result = await read(make())
    assert result.deltas == [
        *(TextDelta(token) for token in TOKENS),
        ModelFinished(
            FinishReason.STOP,
            generation_id="gen-1",
            provider="acme",
            model="small-2026",
            tokens=TokenCount(
                11, 6, cached_input_tokens=4, reasoning_tokens=2 if vendor.counts_reasoning else 0
            ),
        ),
    ]


@pytest.mark.parametrize(
    "manner",
    [
        Script(split_bytes=1),
        Script(split_bytes=1, crlf=True),
        Script(split_bytes=7, comments=True),
        Script(crlf=True, comments=True),
        Script(events_per_write=3),
        Script(events_per_write=100, crlf=True),
        Script(fault=Fault(FaultKind.NO_DONE)),
    ],
    ids=["bytes", "bytes crlf", "sevens", "crlf comments", "threes", "all at once", "no done"],
)
async def test_the_manner_of_delivery_does_not_change_the_answer(
    provider: ScriptedProvider, make: Make, vendor: Vendor, manner: Script
) -> None:
    provider.enqueue(replace(manner, tokens=TOKENS, reasoning=("ä", "ö")))
    result = await read(make())
    assert result.deltas[:-1] == [ReasoningDelta("ä"), ReasoningDelta("ö"), *map(TextDelta, TOKENS)]
    assert result.finished.tokens == TokenCount(3, 8, reasoning_tokens=2 if vendor.counts_reasoning else 0)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos_token", FinishReason.STOP),
    ],
)
async def test_the_finish_reason_is_translated(
    provider: ScriptedProvider, make: Make, reported: str, expected: FinishReason
) -> None:
    provider.enqueue(Script(finish_reason=reported))
    assert (await read(make())).finished.finish_reason is expected


async def test_a_missing_token_count_is_none(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(usage=None))
    assert (await read(make())).finished.tokens is None


async def test_an_empty_answer_that_ends_well_is_an_answer(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=()))
    result = await read(make())
    assert result.deltas == [result.finished]


async def test_every_identical_request_is_a_call_of_its_own(provider: ScriptedProvider, make: Make) -> None:
    model = make()
    results = await asyncio.gather(*(read(model) for _ in range(20)))
    assert len({result.finished.generation_id for result in results}) == 20
    assert len(provider.ledger) == 20


@pytest.mark.parametrize("end_delay", [0.0, 0.03])
async def test_the_connection_is_used_again(provider: ScriptedProvider, make: Make, end_delay: float) -> None:
    provider.default = Script(tokens=TOKENS, end_delay=end_delay)
    model = make()
    for _ in range(3):
        await read(model)
    assert len({call.peer_port for call in provider.ledger}) == 1


async def test_an_http_message_that_does_not_end_delays_no_answer(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    provider.enqueue(Script(tokens=TOKENS, end_delay=60))
    # Without a mark of the end, the next token is waited for as ever.
    limits = {} if vendor.has_end_mark else {"between_tokens": 0.3}
    async with asyncio.timeout(1):
        assert (await read(make(**limits))).finished
    assert await provider.ledger[0].ended(within=1) is Outcome.CLIENT_GONE


async def test_a_slow_consumer_is_not_taken_for_a_slow_provider(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.enqueue(Script(tokens=TOKENS, hold_after=1))
    result = Read()
    async for delta in make(between_tokens=0.1).stream(QUESTION):
        if delta == TextDelta(TOKENS[0]):
            await asyncio.sleep(0.15)
            provider.release()
        result.add(delta)
    assert result.text == "".join(TOKENS)
