"""Deadlines of callers, and what one run may use."""

import asyncio
from dataclasses import replace

import pytest

from providers.base import ModelRequest
from providers.gate.base import Saturated, SaturatedBy
from providers.pool.choice import PinnedChoice
from providers.pool.run_budget import Limit, LimitReachedError, RunBudget, RunCaps, Spent
from providers.pool.search import RetryPolicy
from state.errors import DeadlineExceededError, ProviderSaturatedError, ProviderUnavailableError
from state.models import FinishReason, Message
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedUsage
from tests.integration.pool.pools import CHAT, QUESTION, TWO, MakePool, Pool, Read, read

PRICED = TWO.replace(
    "context_tokens = 8192",
    "context_tokens = 8192\nprices = { input_micros = 1_000_000, output_micros = 10_000_000 }",
)
USED = Script(usage=ScriptedUsage(100, 50))


def due(seconds: float) -> ModelRequest:
    return replace(QUESTION, deadline=asyncio.get_running_loop().time() + seconds)


async def limited(pool: Pool, budget: RunBudget, request: ModelRequest = QUESTION) -> LimitReachedError:
    with pytest.raises(LimitReachedError) as raised:
        await read(pool.pool.stream(CHAT, request, budget=budget))
    return raised.value


async def test_a_deadline_that_has_passed_calls_nobody(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    result = await read(pool.pool.stream(CHAT, due(-1)))
    assert isinstance(result.error, DeadlineExceededError)
    assert first.ledger == second.ledger == []
    assert pool.gates["one"].asked == []


async def test_a_deadline_that_passes_while_a_provider_is_silent_ends_the_search(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    first.enqueue(Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS)))
    result = await read(pool.pool.stream(CHAT, due(0.1)))
    assert isinstance(result.error, DeadlineExceededError)
    assert second.ledger == []
    assert pool.gates["one"].ends == ["abandoned"]


async def test_nothing_is_called_after_a_pause_that_outlasts_the_deadline(
    make_pool: MakePool, first: ScriptedProvider
) -> None:
    first.default = Script(status=503)
    pool = make_pool(policy=RetryPolicy(rounds=2, pause_seconds=3))
    result = await read(pool.pool.stream(PinnedChoice("one"), due(2)))
    assert isinstance(result.error, ProviderUnavailableError)
    assert len(first.ledger) == 1


@pytest.mark.parametrize("rounds", [1, 3])
async def test_the_policy_says_how_often_one_model_is_called(
    make_pool: MakePool, first: ScriptedProvider, rounds: int
) -> None:
    first.default = Script(status=503)
    pool = make_pool(policy=RetryPolicy(rounds=rounds, pause_seconds=0.001))
    await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert len(first.ledger) == rounds


async def test_steps_are_counted_and_end(pool: Pool, first: ScriptedProvider) -> None:
    budget = RunBudget(RunCaps(max_steps=2))
    for _ in range(2):
        assert (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).error is None
    assert (await limited(pool, budget)).limit is Limit.STEPS
    assert len(first.ledger) == 2


async def test_waiting_for_a_provider_is_no_step(pool: Pool) -> None:
    budget = RunBudget(RunCaps(max_steps=1))
    pool.gates["one"].refusal = pool.gates["two"].refusal = Saturated(SaturatedBy.REQUESTS)
    for _ in range(3):
        assert isinstance(
            (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).error, ProviderSaturatedError
        )
    pool.gates["one"].refusal = None
    assert (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).error is None
    assert budget.spent.steps == 1


async def test_a_fallback_is_no_step_of_its_own(pool: Pool, first: ScriptedProvider) -> None:
    first.enqueue(Script(status=503))
    budget = RunBudget(RunCaps(max_steps=1))
    assert (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).finished.model == "two"
    assert [(usage.provider, usage.estimated) for usage in budget.calls] == [("second", False)]


@pytest.mark.parametrize(
    ("caps", "limit", "left"),
    [
        (RunCaps(max_output_tokens=70), Limit.OUTPUT_TOKENS, 20),
        (RunCaps(max_total_tokens=200), Limit.TOTAL_TOKENS, 50 - 12),
        (RunCaps(max_cost_micros=762), Limit.COST, 15),
    ],
    ids=lambda value: value if isinstance(value, Limit) else "",
)
async def test_what_is_left_bounds_the_next_answer_and_its_end_is_the_limit(
    make_pool: MakePool, first: ScriptedProvider, caps: RunCaps, limit: Limit, left: int
) -> None:
    pool, budget = make_pool(PRICED), RunBudget(caps)
    first.enqueue(USED, Script(tokens=("a", "b"), finish_reason="length", usage=ScriptedUsage(12, left)))
    assert (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).error is None
    error = await limited(pool, budget)
    assert error.limit is limit
    assert error.finished is not None
    assert error.finished.generation_id == first.ledger[1].generation_id
    assert first.ledger[1].body["max_tokens"] == left
    assert (await limited(pool, budget)).limit is limit
    assert len(first.ledger) == 2
    assert pool.gates["one"].ends == ["succeeded", "succeeded", "abandoned"]


async def test_an_answer_cut_by_the_models_own_limit_is_no_limit_of_the_run(
    make_pool: MakePool, first: ScriptedProvider
) -> None:
    pool = make_pool(TWO.replace("context_tokens = 8192", "context_tokens = 8192\nmax_output_tokens = 30"))
    first.enqueue(Script(finish_reason="length"))
    budget = RunBudget(RunCaps(max_output_tokens=100))
    result = await read(pool.pool.stream(CHAT, QUESTION, budget=budget))
    assert result.finished.finish_reason is FinishReason.LENGTH


async def test_a_prompt_that_nothing_is_left_for_is_not_sent(pool: Pool, first: ScriptedProvider) -> None:
    long = replace(QUESTION, messages=(Message("user", "x" * 3000),))
    error = await limited(pool, RunBudget(RunCaps(max_total_tokens=500)), long)
    assert error.limit is Limit.TOTAL_TOKENS
    assert first.ledger == []


async def test_time_that_is_over_calls_nobody(pool: Pool, first: ScriptedProvider) -> None:
    budget = RunBudget(RunCaps(max_seconds=10), Spent(seconds=11))
    assert (await limited(pool, budget)).limit is Limit.DURATION
    assert first.ledger == []


@pytest.mark.parametrize("after", [0, 1])
async def test_time_that_runs_out_ends_an_answer(pool: Pool, first: ScriptedProvider, after: int) -> None:
    first.enqueue(Script(tokens=("a", "b"), hold_after=after))
    error = await limited(pool, RunBudget(RunCaps(max_seconds=0.15)), due(5))
    assert error.limit is Limit.DURATION
    assert pool.gates["one"].ends == ["abandoned"]


async def test_a_deadline_before_the_end_of_the_time_is_the_callers(
    pool: Pool, first: ScriptedProvider
) -> None:
    first.enqueue(Script(tokens=("a", "b"), hold_after=1))
    budget = RunBudget(RunCaps(max_seconds=5))
    result = await read(pool.pool.stream(CHAT, due(0.1), budget=budget))
    assert isinstance(result.error, DeadlineExceededError)


@pytest.mark.parametrize(("pieces", "ends"), [(("ab",) * 99, False), (("ab",) * 100, True)])
async def test_an_answer_that_repeats_itself_is_ended(
    pool: Pool, first: ScriptedProvider, pieces: tuple[str, ...], ends: bool
) -> None:
    first.enqueue(Script(tokens=(*pieces, "c", *pieces[:50])))
    budget = RunBudget()
    if not ends:
        assert (await read(pool.pool.stream(CHAT, QUESTION, budget=budget))).error is None
        return
    error = await limited(pool, budget)
    assert error.limit is Limit.REPEATED_CHUNKS
    assert pool.gates["one"].ends == ["abandoned"]
    assert budget.calls[0].estimated


async def test_usage_is_estimated_where_none_is_told(make_pool: MakePool, first: ScriptedProvider) -> None:
    first.enqueue(Script(tokens=("abc",) * 10, usage=None))
    pool, budget = make_pool(PRICED), RunBudget()
    await read(pool.pool.stream(CHAT, QUESTION, budget=budget))
    (usage,) = budget.calls
    assert usage.estimated
    assert usage.tokens.output_tokens == 11
    assert usage.cost_micros == usage.tokens.input_tokens + 110


async def test_an_answer_that_breaks_is_counted_as_far_as_it_came(
    pool: Pool, first: ScriptedProvider
) -> None:
    first.enqueue(Script(tokens=("abc", "def"), fault=Fault(FaultKind.CUT, after=1)))
    budget = RunBudget()
    result: Read = await read(pool.pool.stream(CHAT, QUESTION, budget=budget))
    assert result.error is not None
    assert budget.spent.output_tokens == 2
    assert budget.calls[0].estimated


async def test_what_earlier_attempts_used_counts(pool: Pool, first: ScriptedProvider) -> None:
    spent = Spent(input_tokens=30, output_tokens=40, steps=2, cost_micros=7)
    assert (await limited(pool, RunBudget(RunCaps(max_steps=2), spent))).limit is Limit.STEPS
    assert (await limited(pool, RunBudget(RunCaps(max_output_tokens=40), spent))).limit is Limit.OUTPUT_TOKENS
    assert (await limited(pool, RunBudget(RunCaps(max_total_tokens=70), spent))).limit is Limit.TOTAL_TOKENS
    assert first.ledger == []
