"""Tools: what a model is offered, what it asks for, and what it is told."""

import asyncio
from dataclasses import replace

import pytest

from providers.base import ModelRequest, ReasoningDelta, TextDelta, ToolCallDelta, ToolSpec
from state.errors import ProviderBrokenError, ProviderUnavailableError
from state.models import FinishReason, Message, ToolCall
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedToolCall
from tests.integration.adapters.reading import QUESTION, Make, Read, read
from tests.integration.adapters.vendors import Vendor

WEATHER = ToolSpec(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
OFFER = replace(QUESTION, tools=(WEATHER,))
ZURICH = ScriptedToolCall("weather", '{"city":"Zürich"}', "call_1")
PARIS = ScriptedToolCall("weather", '{"city":"Paris"}', "call_2")


def calls_of(result: Read) -> list[ToolCall]:
    return [delta.call for delta in result.deltas if isinstance(delta, ToolCallDelta)]


@pytest.mark.parametrize("split_bytes", [None, 7])
async def test_two_calls_in_parallel_arrive_whole_after_the_text(
    provider: ScriptedProvider, make: Make, vendor: Vendor, split_bytes: int | None
) -> None:
    script = Script(
        tokens=("I look",), reasoning=("hm",), tool_calls=(ZURICH, PARIS), split_bytes=split_bytes
    )
    provider.enqueue(script)
    result = await read(make(), OFFER)
    assert result.deltas[:2] == [ReasoningDelta("hm"), TextDelta("I look")]
    first, second = calls_of(result)
    assert (first.name, first.arguments) == ("weather", ZURICH.arguments)
    assert (second.name, second.arguments) == ("weather", PARIS.arguments)
    assert first.call_id != second.call_id
    if vendor.keeps_call_ids:
        assert (first.call_id, second.call_id) == ("call_1", "call_2")
    assert result.finished.finish_reason is FinishReason.TOOL_CALLS


async def test_a_call_without_arguments_has_an_empty_object(provider: ScriptedProvider, make: Make) -> None:
    for arguments in ("", "{}"):
        provider.enqueue(Script(tool_calls=(ScriptedToolCall("weather", arguments),)))
        assert [call.arguments for call in calls_of(await read(make(), OFFER))] == ["{}"]


async def test_arguments_that_are_no_json_are_passed_on_as_written(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    provider.enqueue(Script(tool_calls=(ScriptedToolCall("weather", '{"city": Zürich'),)))
    result = await read(make(), OFFER)
    if vendor.streams_arguments:
        assert [call.arguments for call in calls_of(result)] == ['{"city": Zürich']
    else:
        # Its arguments are parsed before they are sent, so it has to give up.
        assert isinstance(result.error, ProviderBrokenError)


async def test_a_call_that_the_limit_cut_short_is_none(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    cut = ScriptedToolCall("weather", '{"city": "Zü')
    if vendor.streams_arguments:
        provider.enqueue(Script(tool_calls=(PARIS, cut), finish_reason="length"))
        result = await read(make(), OFFER)
        assert [call.arguments for call in calls_of(result)] == [PARIS.arguments]
        assert result.finished.finish_reason is FinishReason.LENGTH


async def test_a_stream_that_breaks_inside_a_call_gives_none(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tool_calls=(ZURICH, PARIS), fault=Fault(FaultKind.CUT, after=1)))
    result = await read(make(), OFFER)
    assert isinstance(result.error, ProviderBrokenError | ProviderUnavailableError)
    assert len(calls_of(result)) <= 1


async def test_pieces_of_a_long_call_are_no_silence(provider: ScriptedProvider, make: Make) -> None:
    long = ScriptedToolCall("weather", '{"city":"' + "x" * 60 + '"}')
    provider.enqueue(Script(tool_calls=(long,), token_interval=0.05))
    result = await read(make(first_token=0.3, between_tokens=0.3), OFFER)
    assert [call.arguments for call in calls_of(result)] == [long.arguments]


async def test_answers_to_calls_find_their_calls_again(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tool_calls=(ZURICH, PARIS)))
    model = make()
    first, second = calls_of(await read(model, OFFER))
    conversation = (
        *QUESTION.messages,
        Message("assistant", "", tool_calls=(first, second)),
        Message("tool", "rain", tool_call_id=first.call_id),
        Message("tool", "sun", tool_call_id=second.call_id),
        Message("user", "and now?"),
    )
    # The scripted provider refuses what does not fit together, as the real ones do.
    assert (await read(model, replace(OFFER, messages=conversation))).finished
    assert (await read(model, ModelRequest(conversation))).finished


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"a":1}'])
async def test_a_call_of_another_vendor_with_an_odd_id_can_be_told(
    provider: ScriptedProvider, make: Make, arguments: str
) -> None:
    call = ToolCall("toolu/" + "x" * 300, "weather", arguments)
    conversation = (
        *QUESTION.messages,
        Message("assistant", "one moment", tool_calls=(call,)),
        Message("tool", "rain", tool_call_id=call.call_id),
    )
    assert (await read(make(), replace(OFFER, messages=conversation))).finished
    assert "x" * 100 not in str(provider.ledger[0].body)


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
async def test_every_choice_of_tools_is_one_that_the_vendor_knows(
    provider: ScriptedProvider, make: Make, choice: str
) -> None:
    request = replace(OFFER, tool_choice=choice)  # type: ignore[arg-type]
    assert (await read(make(), request)).finished
    assert "weather" in str(provider.ledger[0].body)


async def test_parallel_requests_have_calls_with_ids_of_their_own(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.default = Script(tool_calls=(ScriptedToolCall("weather"),))
    model = make()
    results = await asyncio.gather(*(read(model, OFFER) for _ in range(10)))
    assert len({call.call_id for result in results for call in calls_of(result)}) == 10
