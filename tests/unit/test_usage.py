"""Usage, summed up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

import pytest

from providers.base import CallAccepted, Delta, ModelInfo, TokenCount
from providers.file.endpoints import Endpoint
from providers.file.entries import Prices, ProviderEntry
from providers.pool.account import RunAccount
from providers.pool.metering import Meter
from providers.pool.run_budget import CallUsage, Limit, LimitReachedError, RunBudget, RunCaps
from state.errors import DeadlineExceededError, ProviderBrokenError
from state.usage import ModelUsage, Usage

ONE = ModelUsage("p", "m", 10, 3, cached_input_tokens=4, reasoning_tokens=1, model_calls=1, cost_micros=7)
OTHER = ModelUsage("p", "n", 1, 1, model_calls=1, estimated=True)
ENDPOINT = Endpoint(
    "m", ModelInfo("p", "m", 8192), ProviderEntry(kind="openai"), None, Prices(input_micros=1_000_000)
)


def test_the_calls_of_a_model_are_summed_up() -> None:
    usage = Usage.of([ONE, OTHER, ONE], tool_calls=2, currency="EUR")
    twice = ModelUsage(
        "p", "m", 20, 6, cached_input_tokens=8, reasoning_tokens=2, model_calls=2, cost_micros=14
    )
    assert usage.by_model == (twice, OTHER)
    assert usage.total == ModelUsage("", "", 21, 7, 8, 2, 3, 14, estimated=True)


def test_what_was_stored_is_read_again_whatever_release_wrote_it() -> None:
    usage = Usage.of([ONE, OTHER], tool_calls=2, currency="EUR")
    assert Usage.parsed(asdict(usage)) == usage
    old = {
        "model_calls": 1,
        "by_model": [{"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 2}],
    }
    assert Usage.parsed(old).by_model == (ModelUsage("p", "m", 1, 2),)
    new = {"by_model": [{**asdict(ONE), "to_come": 1}], "currency": "EUR", "to_come": 2}
    assert Usage.parsed(new).by_model == (ONE,)
    assert Usage.parsed(None) == Usage()


async def test_a_run_has_used_what_all_its_attempts_have() -> None:
    account = RunAccount(RunCaps(), currency="EUR", earlier=Usage.of([ONE], tool_calls=1))
    account.budget.tool_wanted()
    account.budget.used(CallUsage("p", "m", TokenCount(5, 2), 3, estimated=False))
    account.budget.used(CallUsage("p", "n", TokenCount(1, 1), 0, estimated=True))
    assert account.usage == Usage.of(
        [ONE, ModelUsage("p", "m", 5, 2, model_calls=1, cost_micros=3), OTHER], tool_calls=2, currency="EUR"
    )


async def test_an_older_record_of_the_usage_changes_nothing_and_a_newer_one_replaces_it() -> None:
    account = RunAccount(RunCaps(), currency="EUR", earlier=Usage.of([ONE]))
    for known in (Usage(), Usage.of([OTHER])):
        account.remembered(known)
        assert account.usage.by_model == (ONE,)
    account.remembered(Usage.of([ONE, OTHER]))
    assert account.usage.by_model == (ONE, OTHER)


async def test_tool_calls_are_counted_over_attempts_and_end() -> None:
    account = RunAccount(RunCaps(max_tool_calls=2), currency="EUR", earlier=Usage(tool_calls=1))
    account.budget.tool_wanted()
    with pytest.raises(LimitReachedError) as raised:
        account.budget.tool_wanted()
    assert raised.value.limit is Limit.TOOL_CALLS
    assert account.usage.tool_calls == 2


def test_of_two_caps_the_lower_counts_and_repetition_is_the_servers() -> None:
    server = RunCaps(max_seconds=5, max_steps=3, max_cost_micros=9, max_repeated_chunks=7)
    wish = RunCaps(max_seconds=6, max_steps=2, max_output_tokens=1, max_total_tokens=4, max_tool_calls=0)
    assert server.lowered(wish) == RunCaps(
        max_seconds=5,
        max_output_tokens=1,
        max_total_tokens=4,
        max_steps=2,
        max_tool_calls=0,
        max_cost_micros=9,
        max_repeated_chunks=7,
    )


class Silent:
    """A provider that takes a call and then does not write."""

    def __init__(self, end: Exception | None = None, *, accepts: bool = True) -> None:
        self.waiting = asyncio.Event()
        self._end = end
        self._accepts = accepts

    async def deltas(self) -> AsyncGenerator[Delta]:
        if self._accepts:
            yield CallAccepted()
        self.waiting.set()
        if self._end:
            raise self._end
        await asyncio.Event().wait()


async def metered(silent: Silent, budget: RunBudget) -> None:
    meter = Meter(budget, ENDPOINT, prompt_tokens=12, cut_by=None)
    async with aclosing(meter.metered(silent.deltas())) as deltas:
        async for _ in deltas:
            pass


@pytest.mark.parametrize(("accepts", "calls"), [(True, 1), (False, 0)])
async def test_who_leaves_before_the_first_piece_has_paid_for_the_prompt(accepts: bool, calls: int) -> None:
    silent, budget = Silent(accepts=accepts), RunBudget()
    reading = asyncio.create_task(metered(silent, budget))
    await silent.waiting.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    expected = CallUsage("p", "m", TokenCount(12, 0), 12, estimated=True)
    assert budget.calls == [expected] * calls


@pytest.mark.parametrize(
    ("error", "calls"), [(DeadlineExceededError("late"), 1), (ProviderBrokenError("x"), 0)]
)
async def test_a_deadline_is_paid_for_and_a_provider_that_fails_is_not(error: Exception, calls: int) -> None:
    budget = RunBudget()
    with pytest.raises(type(error)):
        await metered(Silent(error), budget)
    assert len(budget.calls) == calls
