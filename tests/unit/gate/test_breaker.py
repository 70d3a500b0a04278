"""When the breaker opens, whom it lets through then, and when it closes."""

import asyncio
from dataclasses import replace

import pytest

from providers.breaker import Breaker, BreakerSettings, Ticket
from tests.unit.gate.manual_time import ManualTime

SETTINGS = BreakerSettings(
    consecutive_failures=3,
    failure_ratio=0.5,
    window_calls=10,
    window_seconds=60.0,
    reset_seconds=2.0,
    reset_growth=2.0,
    reset_cap_seconds=10.0,
    reset_jitter=0.0,
)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def breaker_of(time: ManualTime, **changes: float) -> Breaker:
    return Breaker(replace(SETTINGS, **changes), clock=time.clock, chance=time.chance)  # type: ignore[arg-type]


def admitted(breaker: Breaker) -> Ticket:
    ticket = breaker.admit()
    assert ticket is not None
    return ticket


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.succeeded(admitted(breaker))


def is_open(breaker: Breaker) -> bool:
    return not breaker.closed


def opened(time: ManualTime, **changes: float) -> Breaker:
    breaker = breaker_of(time, **changes)
    fail(breaker, SETTINGS.consecutive_failures)
    assert is_open(breaker)
    return breaker


@pytest.mark.parametrize("failures", [1, 3, 5])
def test_it_opens_at_so_many_failures_in_a_row_and_not_before(time: ManualTime, failures: int) -> None:
    breaker = breaker_of(time, consecutive_failures=failures, window_calls=100)
    fail(breaker, failures - 1)
    assert breaker.closed
    fail(breaker)
    assert is_open(breaker)
    assert breaker.admit() is None


def test_a_success_begins_the_row_anew(time: ManualTime) -> None:
    breaker = breaker_of(time)
    for _ in range(2):
        fail(breaker, 2)
        succeed(breaker)
    assert breaker.closed


@pytest.mark.parametrize(("ratio", "opens"), [(0.5, True), (0.6, False)])
def test_it_opens_at_a_share_of_failures(time: ManualTime, ratio: float, opens: bool) -> None:
    breaker = breaker_of(time, failure_ratio=ratio)
    for _ in range(5):
        succeed(breaker)
        fail(breaker)
    assert breaker.closed is not opens


@pytest.mark.parametrize(("calls", "opens"), [(10, True), (11, False)])
def test_a_share_of_few_calls_says_nothing(time: ManualTime, calls: int, opens: bool) -> None:
    breaker = breaker_of(time, window_calls=calls)
    for _ in range(5):
        succeed(breaker)
        fail(breaker)
    assert breaker.closed is not opens


@pytest.mark.parametrize(("seconds", "opens"), [(60.0, True), (20.0, False)])
def test_failures_of_long_ago_are_forgotten(time: ManualTime, seconds: float, opens: bool) -> None:
    breaker = breaker_of(time, window_seconds=seconds)
    for _ in range(5):
        succeed(breaker)
        time.advance(7.0)
        fail(breaker)
    assert breaker.closed is not opens


@pytest.mark.parametrize("reset", [1.0, 4.0])
def test_it_stays_open_for_its_reset_time(time: ManualTime, reset: float) -> None:
    breaker = opened(time, reset_seconds=reset)
    assert breaker.wait() == reset
    time.advance(reset - 0.01)
    assert breaker.admit() is None
    time.advance(0.01)
    assert admitted(breaker).probe


async def test_of_fifty_that_wait_one_gets_through(time: ManualTime) -> None:
    breaker = opened(time)
    time.advance(2.0)

    async def caller() -> Ticket | None:
        await asyncio.sleep(0)
        return breaker.admit()

    tickets = await asyncio.gather(*(caller() for _ in range(50)))
    assert [ticket.probe for ticket in tickets if ticket is not None] == [True]
    assert breaker.wait() > 0.0


def test_a_probe_that_succeeds_closes_it_for_all(time: ManualTime) -> None:
    breaker = opened(time)
    time.advance(2.0)
    succeed(breaker)
    assert breaker.closed
    assert [admitted(breaker).probe for _ in range(50)] == [False] * 50


def test_what_failed_before_it_closed_is_forgotten(time: ManualTime) -> None:
    breaker = opened(time)
    time.advance(2.0)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.closed


@pytest.mark.parametrize(
    ("growth", "cap", "waits"), [(2.0, 10.0, [2, 4, 8, 10, 10]), (3.0, 7.0, [2, 6, 7, 7, 7])]
)
def test_each_failed_probe_keeps_it_open_for_longer_up_to_the_cap(
    time: ManualTime, growth: float, cap: float, waits: list[float]
) -> None:
    breaker = opened(time, reset_growth=growth, reset_cap_seconds=cap)
    seen = []
    for _ in waits:
        seen.append(breaker.wait())
        time.advance(breaker.wait())
        fail(breaker)
    assert seen == waits


def test_an_outage_of_days_overflows_nothing(time: ManualTime) -> None:
    breaker = opened(time)
    for _ in range(5000):
        time.advance(breaker.wait())
        fail(breaker)
    assert breaker.wait() == 10.0


def test_closing_makes_the_next_outage_begin_with_the_short_reset_time(time: ManualTime) -> None:
    breaker = opened(time)
    time.advance(2.0)
    fail(breaker)
    time.advance(4.0)
    succeed(breaker)
    fail(breaker, 3)
    assert breaker.wait() == 2.0


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 2.0), (0.5, 1.5)])
def test_chance_takes_a_part_off_the_reset_time(time: ManualTime, jitter: float, wait: float) -> None:
    time.drawn = 0.5
    assert opened(time, reset_jitter=jitter).wait() == wait


@pytest.mark.parametrize(("asked", "wait"), [(1.0, 2.0), (5.0, 5.0), (3600.0, 10.0)])
def test_it_leaves_the_other_side_alone_as_long_as_asked_up_to_the_cap(
    time: ManualTime, asked: float, wait: float
) -> None:
    breaker = breaker_of(time, consecutive_failures=1)
    breaker.failed(admitted(breaker), retry_after=asked)
    assert breaker.wait() == wait


def test_a_probe_given_back_is_the_next_callers(time: ManualTime) -> None:
    breaker = opened(time)
    time.advance(2.0)
    breaker.give_back(admitted(breaker))
    assert is_open(breaker)
    assert admitted(breaker).probe
    assert breaker.admit() is None


def test_given_back_calls_neither_count_nor_end_a_row_of_failures(time: ManualTime) -> None:
    breaker = breaker_of(time)
    fail(breaker, 2)
    for _ in range(100):
        breaker.give_back(admitted(breaker))
    assert breaker.closed
    fail(breaker)
    assert is_open(breaker)


def test_calls_from_before_it_opened_say_nothing_afterwards(time: ManualTime) -> None:
    breaker = breaker_of(time)
    old = [admitted(breaker) for _ in range(10)]
    for ticket in old[:3]:
        breaker.failed(ticket)
    assert breaker.wait() == 2.0
    breaker.succeeded(old[3])
    assert is_open(breaker)
    time.advance(2.0)
    probe = admitted(breaker)
    breaker.succeeded(old[4])
    breaker.failed(old[5])
    assert is_open(breaker)
    assert breaker.admit() is None
    breaker.succeeded(probe)
    assert breaker.closed
    for ticket in old[6:]:
        breaker.failed(ticket)
    assert breaker.closed


def test_it_shows_that_a_probe_is_under_way_or_may_be_made(time: ManualTime) -> None:
    breaker = breaker_of(time)
    shown = [breaker.probing]
    fail(breaker, 3)
    shown.append(breaker.probing)
    time.advance(2.0)
    shown.append(breaker.probing)
    probe = admitted(breaker)
    shown.append(breaker.probing)
    breaker.failed(probe)
    shown.append(breaker.probing)
    assert shown == [False, False, True, True, False]
