"""There is one line: whoever waits for the same place stands in it, by whatever name he asked for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.integration.provider_first.asking import ask, callers, one_model, said, service_with
from tests.integration.provider_first.states import SATURATED, Stage, somebody_in_line

PINNED = pb.ModelOptions(model="m")


@pytest.fixture
async def stage(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Stage]:
    text = one_model(provider, "limits = { max_concurrency = 1 }")
    async with (
        service_with(dsn, provider, tmp_path / "p.toml", text) as service,
        callers(service) as caller,
    ):
        yield Stage(service, provider, caller)


async def test_a_class_and_a_pinned_model_are_both_served(stage: Stage) -> None:
    await stage.hold("held")
    await stage.caller.in_line("of the class")
    await stage.caller.in_line("pinned", model=PINNED)
    stage.provider.release()
    await stage.caller.ended()
    assert sorted(said(stage.provider.ledger)) == ["held", "of the class", "pinned"]


async def test_those_who_want_the_same_place_by_other_names_are_served_in_their_order(stage: Stage) -> None:
    await stage.hold("held")
    for number in range(3):
        await stage.caller.in_line(f"turn {2 * number}")
        await stage.caller.in_line(f"turn {2 * number + 1}", model=PINNED)
    stage.provider.release()
    await stage.caller.ended()
    assert said(stage.provider.ledger) == ["held", *(f"turn {number}" for number in range(6))]


async def test_nobody_overtakes_those_in_line_by_another_name_of_the_same_place(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    text = one_model(provider, "limits = { max_concurrency = 2 }")
    async with (
        service_with(dsn, provider, tmp_path / "p.toml", text) as service,
        callers(service) as caller,
        somebody_in_line(Stage(service, provider, caller)),
    ):
        overtakes = await asyncio.wait_for(ask(service, "overtakes", model=PINNED), 2)
        assert overtakes.seen == SATURATED


async def test_a_minutes_tokens_are_taken_when_a_call_begins_not_when_it_has_used_them(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """What an answer may take is about a thousand tokens: three of them are all that the minute has."""
    text = one_model(provider, "limits = { tokens_per_minute = 3_500 }")
    async with service_with(dsn, provider, tmp_path / "p.toml", text) as service:
        provider.default = Script(tokens=("a",) * 10, token_interval=0.05)
        asked = await asyncio.gather(*(ask(service, f"turn {number}") for number in range(10)))
    assert Counter(one.seen for one in asked) == {"answer": 3, SATURATED: 7}
    assert len(provider.ledger) == 3
