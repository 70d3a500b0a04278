"""How many calls may be made again."""

from providers.pool.retry_budget import RetryBudget


class Clock:
    """A time that a test moves on by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def retries(budget: RetryBudget, requests: int) -> int:
    """How many of so many requests may be tried again, each as often as it may."""
    made = 0
    for _ in range(requests):
        budget.requested()
        while budget.has_room:
            budget.retried()
            made += 1
    return made


def test_a_tenth_of_many_requests_may_be_tried_again() -> None:
    assert retries(RetryBudget(clock=Clock()), 1000) == 100


def test_a_few_requests_have_the_floor() -> None:
    assert retries(RetryBudget(clock=Clock()), 1) == 5
    assert retries(RetryBudget(floor=0, clock=Clock()), 9) == 0


def test_the_floor_is_not_added_to_the_share() -> None:
    assert retries(RetryBudget(floor=20, clock=Clock()), 200) == 20


def test_what_is_older_than_the_window_counts_no_more() -> None:
    clock = Clock()
    budget = RetryBudget(window_seconds=10, clock=clock)
    assert retries(budget, 100) == 10
    clock.now = 9.9
    assert not budget.has_room
    clock.now = 10.1
    assert retries(budget, 1) == 5


def test_another_share_allows_another_number() -> None:
    assert retries(RetryBudget(share=0.5, clock=Clock()), 100) == 50
