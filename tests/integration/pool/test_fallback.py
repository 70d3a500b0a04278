"""Which model is called, and when another one is."""

import asyncio

import pytest

from providers.base import CallAccepted
from providers.gate.base import Saturated, SaturatedBy, Unavailable
from providers.pool.choice import ModelChoice, PinnedChoice
from state.errors import (
    InvalidRequestError,
    ProviderBrokenError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from tests.fakes.scripted_provider.addresses import refusing_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.pool.pools import CHAT, QUESTION, TWO, MakePool, Pool, begun, read

DOWN = Script(status=503)
FULL = Script(status=429, retry_after=3)


def calls(*providers: ScriptedProvider) -> list[int]:
    return [len(provider.ledger) for provider in providers]


async def test_the_first_of_the_class_answers(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert (result.finished.provider, result.finished.model) == ("first", "one")
    assert result.finished.generation_id == first.ledger[0].generation_id
    assert calls(first, second) == [1, 0]
    assert pool.gates["one"].ends == ["succeeded"]


@pytest.mark.parametrize("refusal", [Saturated(SaturatedBy.TOKENS, 3.0), Unavailable(3.0)])
async def test_a_model_whose_gate_is_closed_is_not_called(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider, refusal: Saturated | Unavailable
) -> None:
    pool.gates["one"].refusal = refusal
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert result.finished.model == "two"
    assert calls(first, second) == [0, 1]


@pytest.mark.parametrize(
    "script",
    [
        DOWN,
        FULL,
        Script(fault=Fault(FaultKind.CUT_BEFORE_HEADERS)),
        Script(fault=Fault(FaultKind.CUT)),
        Script(fault=Fault(FaultKind.RESET)),
    ],
)
async def test_a_call_that_fails_before_its_first_token_goes_to_the_next_model(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider, script: Script
) -> None:
    first.enqueue(script)
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert result.finished.provider == "second"
    assert result.finished.generation_id == second.ledger[0].generation_id
    assert calls(first, second) == [1, 1]
    assert (pool.gates["one"].ends, pool.gates["two"].ends) == (["failed"], ["succeeded"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refused_request_goes_nowhere_else(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider, status: int
) -> None:
    first.enqueue(Script(status=status))
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderRejectedError)
    assert calls(first, second) == [1, 0]


@pytest.mark.parametrize("fault", [FaultKind.HTML, FaultKind.INVALID_JSON])
async def test_an_answer_that_makes_no_sense_is_not_asked_for_again(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider, fault: FaultKind
) -> None:
    first.enqueue(Script(fault=Fault(fault)))
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderBrokenError)
    assert calls(first, second) == [1, 0]


@pytest.mark.parametrize("reasoning", [(), ("hm",)])
async def test_a_stream_that_breaks_in_its_middle_goes_nowhere_else(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider, reasoning: tuple[str, ...]
) -> None:
    first.enqueue(Script(tokens=("a", "b"), reasoning=reasoning, fault=Fault(FaultKind.CUT, after=1)))
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderBrokenError)
    assert result.text == ("" if reasoning else "a")
    assert sum(not isinstance(delta, CallAccepted) for delta in result.deltas) == 1
    assert calls(first, second) == [1, 0]
    assert pool.gates["one"].ends == ["failed"]


async def test_a_model_that_was_down_is_called_once_more_when_there_is_no_other(
    pool: Pool, first: ScriptedProvider
) -> None:
    first.enqueue(DOWN)
    result = await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert result.finished.model == "one"
    assert len(first.ledger) == 2


async def test_a_model_without_room_is_not_called_again(pool: Pool, first: ScriptedProvider) -> None:
    first.enqueue(FULL)
    result = await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert isinstance(result.error, ProviderSaturatedError)
    assert result.error.retry_after == 3
    assert len(first.ledger) == 1


async def test_a_pinned_model_is_the_only_one(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    first.default = DOWN
    result = await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert isinstance(result.error, ProviderUnavailableError)
    assert "'first'" in result.error.message
    assert calls(first, second) == [2, 0]


async def test_a_pinned_model_falls_back_to_its_own_list(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    second.enqueue(DOWN)
    result = await read(pool.pool.stream(PinnedChoice("two", ("two", "one")), QUESTION))
    assert result.finished.model == "one"
    assert calls(first, second) == [1, 1]


async def test_unknown_names_are_told_by_field(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    result = await read(pool.pool.stream(PinnedChoice("three", ("two", "four")), QUESTION))
    assert isinstance(result.error, InvalidRequestError)
    fields = [violation.field for violation in result.error.violations]
    assert fields == ["model.model", "model.fallback_models[1]"]
    assert calls(first, second) == [0, 0]


async def test_the_smallest_wait_is_told_when_one_only_has_no_room(pool: Pool) -> None:
    pool.gates["one"].refusal = Unavailable(1.0)
    pool.gates["two"].refusal = Saturated(SaturatedBy.REQUESTS, 9.0)
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderSaturatedError)
    assert result.error.retry_after == 9
    pool.gates["one"].refusal = Saturated(SaturatedBy.VENDOR, 4.0)
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert result.error is not None
    assert result.error.retry_after == 4


async def test_all_down_is_unavailable(pool: Pool) -> None:
    pool.gates["one"].refusal = Unavailable(8.0)
    pool.gates["two"].refusal = Unavailable(6.0)
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderUnavailableError)
    assert result.error.retry_after == 6


async def test_a_vendor_without_room_beside_a_dead_one_is_saturated(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    first.default, second.default = FULL, DOWN
    result = await read(pool.pool.stream(CHAT, QUESTION))
    assert isinstance(result.error, ProviderSaturatedError)
    assert result.error.retry_after == 3
    assert isinstance(result.error.__cause__, ProviderUnavailableError)


async def test_an_address_where_nobody_listens_is_passed_over(make_pool: MakePool) -> None:
    with refusing_address() as address:
        pool = make_pool(first=f"http://{address}/v1")
        result = await read(pool.pool.stream(CHAT, QUESTION))
    assert result.finished.provider == "second"


async def test_a_reader_that_leaves_abandons_the_call(pool: Pool, first: ScriptedProvider) -> None:
    first.enqueue(Script(tokens=("a", "b"), hold_after=1))
    stream = pool.pool.stream(CHAT, QUESTION)
    await begun(stream)
    await stream.aclose()
    await first.ledger[0].ended()
    assert pool.gates["one"].ends == ["abandoned"]


async def test_identical_requests_are_as_many_calls(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    results = [await read(pool.pool.stream(CHAT, QUESTION)) for _ in range(20)]
    told = [result.finished.generation_id for result in results]
    assert told == [call.generation_id for call in first.ledger]
    assert len(set(told)) == 20


async def test_identical_requests_are_as_many_calls_also_where_the_first_model_fails(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    first.enqueue(DOWN, DOWN)
    results = [await read(pool.pool.stream(CHAT, QUESTION)) for _ in range(20)]
    told = [result.finished.generation_id for result in results]
    answered = [call.generation_id for call in (*second.ledger, *first.ledger[2:])]
    assert told == answered
    assert len(set(told)) == 20
    assert calls(first, second) == [20, 2]


@pytest.mark.parametrize("failures_to_open", [3, 1_000_000], ids=["with breakers", "without"])
async def test_an_outage_is_not_multiplied(
    make_pool: MakePool, first: ScriptedProvider, second: ScriptedProvider, failures_to_open: int
) -> None:
    first.default = second.default = DOWN
    pool = make_pool(failures_to_open=failures_to_open)
    for _ in range(200):
        result = await read(pool.pool.stream(CHAT, QUESTION))
        assert isinstance(result.error, ProviderUnavailableError)
    assert sum(calls(first, second)) <= 220
    if failures_to_open == 3:
        assert sum(calls(first, second)) <= 8


@pytest.mark.parametrize("wanted", [CHAT, PinnedChoice("one")], ids=["class", "pinned"])
async def test_an_outage_under_many_requests_at_once_is_not_multiplied(
    make_pool: MakePool, first: ScriptedProvider, second: ScriptedProvider, wanted: ModelChoice
) -> None:
    first.default = second.default = DOWN
    roomy = 'kind = "openai"\nlimits = { max_concurrency = 500 }'
    pool = make_pool(TWO.replace('kind = "openai"', roomy))
    results = await asyncio.gather(*(read(pool.pool.stream(wanted, QUESTION)) for _ in range(200)))
    assert all(isinstance(result.error, ProviderUnavailableError) for result in results)
    assert 200 < sum(calls(first, second)) <= 220


async def test_without_a_retry_left_the_first_failure_is_told(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    first.default = DOWN
    results = [await read(pool.pool.stream(CHAT, QUESTION)) for _ in range(7)]
    assert [result.error is None for result in results] == [True] * 5 + [False] * 2
    assert results[-1].error is not None
    assert "'first'" in results[-1].error.message
    assert calls(first, second) == [7, 5]


async def test_passing_over_a_closed_gate_costs_no_retry(
    make_pool: MakePool, first: ScriptedProvider
) -> None:
    first.default = DOWN
    pool = make_pool(failures_to_open=2)
    results = [await read(pool.pool.stream(CHAT, QUESTION)) for _ in range(50)]
    assert [result.finished.provider for result in results] == ["second"] * 50
    assert len(first.ledger) == 2
