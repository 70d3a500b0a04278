"""What may be taken from a budget per minute, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.gate.budget import Budget, BudgetSettings
from tests.unit.gate.manual_time import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def budget_of(time: ManualTime, per_minute: float | None = 60.0, burst_seconds: float = 10.0) -> Budget:
    return Budget(BudgetSettings(per_minute, burst_seconds), time.clock)


def taken_at_once(budget: Budget, most: int = 1000) -> int:
    for count in range(most):
        if budget.wait(1) > 0.0:
            return count
        budget.take(1)
    return most


@pytest.mark.parametrize(
    ("per_minute", "burst_seconds", "at_once"), [(60.0, 10.0, 10), (60.0, 60.0, 60), (6.0, 10.0, 1)]
)
def test_so_much_is_saved_up_and_no_more(
    time: ManualTime, per_minute: float, burst_seconds: float, at_once: int
) -> None:
    budget = budget_of(time, per_minute, burst_seconds)
    time.advance(3600.0)
    assert taken_at_once(budget) == at_once


@pytest.mark.parametrize("per_minute", [60.0, 120.0])
def test_it_refills_continuously(time: ManualTime, per_minute: float) -> None:
    budget = budget_of(time, per_minute)
    taken_at_once(budget)
    assert budget.wait(1) == pytest.approx(60.0 / per_minute)
    time.advance(300.0 / per_minute)
    assert taken_at_once(budget) == 5


def test_the_wait_it_tells_is_enough_and_not_too_long(time: ManualTime) -> None:
    budget = budget_of(time, per_minute=7.0)
    taken_at_once(budget)
    wait = budget.wait(1)
    time.advance(wait * 0.99)
    assert budget.wait(1) > 0.0
    time.advance(wait * 0.01)
    assert budget.wait(1) == 0.0


def test_an_unlimited_budget_is_never_empty(time: ManualTime) -> None:
    budget = budget_of(time, per_minute=None)
    budget.take(10**12)
    assert budget.wait(10**12) == 0.0


def test_what_a_call_needed_less_than_expected_is_given_back(time: ManualTime) -> None:
    budget = budget_of(time)
    budget.take(10)
    budget.correct(10, 4)
    assert taken_at_once(budget) == 6


def test_what_a_call_needed_more_than_expected_is_paid_back_first(time: ManualTime) -> None:
    budget = budget_of(time)
    budget.take(1)
    budget.correct(1, 15)
    assert budget.wait(1) == pytest.approx(6.0)


def test_a_call_larger_than_the_budget_goes_when_it_is_full_and_is_paid_back(time: ManualTime) -> None:
    budget = budget_of(time)
    assert budget.wait(25) == 0.0
    budget.take(25)
    assert budget.wait(1) == pytest.approx(16.0)


def test_nothing_left_at_the_provider_blocks_until_its_reset(time: ManualTime) -> None:
    for budget in (budget_of(time), budget_of(time, per_minute=None)):
        budget.told(0, 30.0)
        assert budget.wait(1) == pytest.approx(30.0)
        time.advance(29.0)
        assert budget.wait(1) > 0.0
        time.advance(1.0)
        assert budget.wait(1) == 0.0


def test_nothing_left_and_no_reset_told_blocks_for_a_moment(time: ManualTime) -> None:
    budget = budget_of(time)
    budget.told(0, None)
    assert budget.wait(1) == 1.0


def test_less_left_at_the_provider_than_in_the_budget_is_what_counts(time: ManualTime) -> None:
    budget = budget_of(time)
    budget.told(3, None)
    assert taken_at_once(budget) == 3


def test_more_left_at_the_provider_does_not_fill_the_budget(time: ManualTime) -> None:
    budget = budget_of(time)
    taken_at_once(budget)
    budget.told(1000, 30.0)
    assert budget.wait(1) > 0.0


def test_without_a_budget_of_our_own_what_the_provider_has_left_is_one(time: ManualTime) -> None:
    budget = budget_of(time, per_minute=None)
    budget.told(5, 30.0)
    assert taken_at_once(budget) == 5
    assert budget.wait(1) == pytest.approx(30.0)
    budget.told(2, 25.0)
    assert taken_at_once(budget) == 2


@pytest.mark.parametrize(("replicas", "at_once", "wait"), [(1, 10, 1.0), (2, 5, 2.0), (100, 1, 100.0)])
def test_replicas_share_it_and_each_may_make_one_call(
    time: ManualTime, replicas: int, at_once: int, wait: float
) -> None:
    budget = budget_of(time)
    budget.set_share(replicas)
    time.advance(1000.0)
    assert taken_at_once(budget) == at_once
    assert budget.wait(1) == pytest.approx(wait)


def test_a_new_share_makes_nothing_out_of_nothing(time: ManualTime) -> None:
    budget = budget_of(time)
    taken_at_once(budget)
    budget.set_share(2)
    budget.set_share(1)
    assert budget.wait(1) == pytest.approx(1.0)


@pytest.mark.parametrize(("replicas", "each"), [(2, 3), (100, 1)])
def test_what_the_provider_has_left_is_left_for_all_replicas(
    time: ManualTime, replicas: int, each: int
) -> None:
    budget = budget_of(time, per_minute=None)
    budget.set_share(replicas)
    budget.told(6, 30.0)
    assert taken_at_once(budget) == each


ADVANCE = st.tuples(st.just("advance"), st.floats(0.0, 100.0))
TAKE = st.tuples(st.just("take"), st.floats(1.0, 10.0))
CORRECT = st.tuples(st.just("correct"), st.floats(0.0, 3.0))
TOLD = st.tuples(st.just("told"), st.floats(0.0, 30.0))
SHARE = st.tuples(st.just("share"), st.integers(1, 5))
# Mostly what fills and empties it, and many: a short list saves nothing up.
EVENTS = st.lists(
    st.one_of(ADVANCE, TAKE, TAKE, TAKE, TAKE, TAKE, TAKE, CORRECT, TOLD, SHARE), min_size=10, max_size=40
)


def takes_of(events: list[tuple[str, float]]) -> list[tuple[float, float]]:
    """When how much was taken from a budget of one each second that saves up ten."""
    time = ManualTime()
    budget = budget_of(time)
    takes = []
    for kind, amount in events:
        match kind:
            case "advance":
                time.advance(amount)
            case "take" if budget.wait(amount) == 0.0:
                budget.take(amount)
                takes.append((time.now, amount))
            case "correct":
                budget.correct(0.0, amount)
            case "told":
                budget.told(amount, 1.0)
            case "share":
                budget.set_share(int(amount))
    return takes


@given(EVENTS)
def test_no_order_of_events_lets_more_through_than_the_rate_and_one_burst(
    events: list[tuple[str, float]],
) -> None:
    takes = takes_of(events)
    for first, (began, _) in enumerate(takes):
        since = 0.0
        for at, amount in takes[first:]:
            since += amount
            assert since <= 10.0 + (at - began) + 0.001


@given(st.lists(st.floats(0.1, 30.0), max_size=30), st.floats(1.0, 1000.0))
def test_after_the_wait_that_was_told_there_is_enough(amounts: list[float], per_minute: float) -> None:
    time = ManualTime()
    budget = budget_of(time, per_minute)
    for amount in amounts:
        time.advance(budget.wait(amount))
        assert budget.wait(amount) == 0.0
        budget.take(amount)
