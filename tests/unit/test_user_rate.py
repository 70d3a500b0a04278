"""How often one user may ask: exact, refilled by time, forgotten when nobody needs it."""

import pytest

from orchestrator.user_rate import UserRate
from state.errors import QuotaExceededError
from state.violations import QuotaViolation


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(rate: UserRate, user: str, most: int = 1000) -> int:
    """How many requests a user can make at this moment."""
    for number in range(most):
        try:
            rate.take(user)
        except QuotaExceededError:
            return number
    return most


@pytest.mark.parametrize(("per_second", "burst"), [(1.0, 1), (10.0, 5), (0.1, 3), (7.0, 20)])
def test_a_user_has_the_burst_and_then_the_rate(per_second: float, burst: int) -> None:
    clock = Clock()
    rate = UserRate(per_second, burst, clock)
    assert taken(rate, "ann") == burst
    assert taken(rate, "bob") == burst
    clock.now += 1.0001 / per_second
    assert taken(rate, "ann") == 1
    clock.now += 1e6
    assert taken(rate, "ann") == burst


def test_who_is_refused_is_told_whose_limit_it_is_and_when_to_come_again() -> None:
    clock = Clock()
    rate = UserRate(2.0, 4, clock)
    assert taken(rate, "ann") == 4
    for _ in range(3):  # what is refused takes nothing
        with pytest.raises(QuotaExceededError) as raised:
            rate.take("ann")
        assert raised.value.retry_after == pytest.approx(0.5, abs=0.002)
    (violation,) = raised.value.details
    assert isinstance(violation, QuotaViolation)
    assert violation.subject == "user:ann"
    clock.now += raised.value.retry_after or 0
    rate.take("ann")


def test_zero_is_no_limit() -> None:
    assert taken(UserRate(0.0, 1), "ann") == 1000


def test_users_who_have_not_asked_for_a_while_are_forgotten() -> None:
    clock = Clock()
    rate = UserRate(1.0, 1, clock)
    for number in range(10_000):
        rate.take(f"user-{number}")
        clock.now += 0.01
    assert rate.known <= 2048
