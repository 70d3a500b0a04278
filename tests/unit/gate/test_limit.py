"""How the concurrency limit moves, and where it stays."""

from dataclasses import replace

import pytest

from providers.gate.limit import AdaptiveLimit, LimitSettings
from tests.unit.gate.manual_time import ManualTime

SETTINGS = LimitSettings(
    initial=20,
    floor=2,
    ceiling=40,
    backoff=0.8,
    deepest_backoff=0.5,
    used_share=0.8,
    explore_calls=50,
    explore_least_seconds=5.0,
    explore_most_seconds=30.0,
    latency_tolerance=2.0,
    latency_ignored_seconds=0.0,
    recent_calls=5,
    baseline_calls=100,
)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def limit_of(time: ManualTime, **changes: float) -> AdaptiveLimit:
    return AdaptiveLimit(replace(SETTINGS, **changes), time.clock)  # type: ignore[arg-type]


def refuse(limit: AdaptiveLimit, in_flight: int | None = None) -> bool:
    return limit.refused(in_flight=limit.current if in_flight is None else in_flight, epoch=limit.epoch)


def succeed(limit: AdaptiveLimit, calls: int, in_flight: int | None = None) -> None:
    for _ in range(calls):
        used = limit.current if in_flight is None else in_flight
        limit.succeeded(in_flight=used, epoch=limit.epoch)


def answer(limit: AdaptiveLimit, seconds: float, calls: int = 1, in_flight: int | None = None) -> None:
    for _ in range(calls):
        used = limit.current if in_flight is None else in_flight
        limit.first_token(seconds, in_flight=used, epoch=limit.epoch)


@pytest.mark.parametrize(
    ("initial", "floor", "ceiling", "starts"), [(7, 1, 40, 7), (1, 3, 40, 3), (99, 1, 9, 9)]
)
def test_it_starts_where_it_is_told_between_floor_and_ceiling(
    time: ManualTime, initial: int, floor: int, ceiling: int, starts: int
) -> None:
    assert limit_of(time, initial=initial, floor=floor, ceiling=ceiling).current == starts


@pytest.mark.parametrize(("backoff", "after"), [(0.8, 16), (0.9, 18)])
def test_a_refusal_lowers_it(time: ManualTime, backoff: float, after: int) -> None:
    limit = limit_of(time, backoff=backoff)
    assert refuse(limit)
    assert limit.current == after


def test_a_burst_of_refusals_is_one_signal(time: ManualTime) -> None:
    limit = limit_of(time)
    epoch = limit.epoch
    news = [limit.refused(in_flight=20 - refused, epoch=epoch) for refused in range(10)]
    assert news == [True] + [False] * 9
    assert limit.current == 16


@pytest.mark.parametrize(("ended_well", "after"), [(0, 13), (1, 17)])
def test_a_second_round_refused_at_once_brings_it_to_what_was_left_of_the_first(
    time: ManualTime, ended_well: int, after: int
) -> None:
    limit = limit_of(time, initial=28)
    epoch = limit.epoch
    for refused in range(15):
        limit.refused(in_flight=28 - refused, epoch=epoch)
    succeed(limit, ended_well, in_flight=1)
    refuse(limit)
    assert limit.current == after


@pytest.mark.parametrize(("deepest", "after"), [(0.5, 10), (0.6, 12)])
def test_a_refusal_with_few_calls_in_flight_lowers_it_further_but_not_to_nothing(
    time: ManualTime, deepest: float, after: int
) -> None:
    limit = limit_of(time, deepest_backoff=deepest)
    refuse(limit, in_flight=3)
    assert limit.current == after


def test_a_refusal_tells_how_many_calls_were_too_many(time: ManualTime) -> None:
    limit = limit_of(time)
    refuse(limit, in_flight=14)
    assert limit.current == 13


@pytest.mark.parametrize("floor", [2, 5])
def test_refusals_never_bring_it_below_its_floor(time: ManualTime, floor: int) -> None:
    limit = limit_of(time, floor=floor)
    for _ in range(50):
        refuse(limit)
    assert limit.current == floor


@pytest.mark.parametrize("ceiling", [30, 40])
def test_success_never_brings_it_above_its_ceiling(time: ManualTime, ceiling: int) -> None:
    limit = limit_of(time, ceiling=ceiling)
    succeed(limit, 10_000)
    assert limit.current == ceiling


def test_until_the_first_signal_it_doubles_each_round(time: ManualTime) -> None:
    limit = limit_of(time, initial=5)
    succeed(limit, 5)
    assert limit.current == 10


def test_after_a_signal_it_grows_by_one_each_round(time: ManualTime) -> None:
    limit = limit_of(time)
    refuse(limit)
    succeed(limit, 17)
    assert limit.current == 17


@pytest.mark.parametrize(("share", "grows"), [(0.8, False), (0.5, True)])
def test_it_grows_only_when_it_is_used(time: ManualTime, share: float, grows: bool) -> None:
    limit = limit_of(time, used_share=share)
    succeed(limit, 5, in_flight=12)
    assert (limit.current > 20) is grows


def test_calls_from_before_a_refusal_do_not_make_it_grow(time: ManualTime) -> None:
    limit = limit_of(time)
    old = limit.epoch
    refuse(limit)
    for _ in range(100):
        limit.succeeded(in_flight=20, epoch=old)
    assert limit.current == 16


@pytest.mark.parametrize("calls", [50, 80])
def test_it_stays_below_what_was_refused_for_so_many_calls(time: ManualTime, calls: int) -> None:
    limit = limit_of(time, explore_calls=calls)
    refuse(limit, in_flight=20)
    time.advance(5.0)
    while limit.current < 19:
        succeed(limit, 1)
    succeed(limit, calls - 1)
    assert limit.current == 19
    succeed(limit, 20)
    assert limit.current == 20


@pytest.mark.parametrize("seconds", [5.0, 8.0])
def test_where_calls_are_many_it_tries_no_more_before_a_while(time: ManualTime, seconds: float) -> None:
    limit = limit_of(time, explore_least_seconds=seconds)
    refuse(limit, in_flight=20)
    succeed(limit, 1000)
    time.advance(seconds - 1)
    succeed(limit, 1000)
    assert limit.current == 19
    time.advance(1)
    succeed(limit, 20)
    assert limit.current == 20


@pytest.mark.parametrize("seconds", [30.0, 60.0])
def test_where_calls_are_rare_it_tries_more_after_a_while(time: ManualTime, seconds: float) -> None:
    limit = limit_of(time, initial=4, explore_most_seconds=seconds)
    refuse(limit)
    succeed(limit, 5)
    assert limit.current == 3
    time.advance(seconds - 1)
    succeed(limit, 4)
    assert limit.current == 3
    time.advance(1)
    succeed(limit, 4)
    assert limit.current == 4


@pytest.mark.parametrize(("tolerance", "lowers"), [(2.0, True), (4.0, False)])
def test_first_tokens_that_come_late_lower_it(time: ManualTime, tolerance: float, lowers: bool) -> None:
    limit = limit_of(time, latency_tolerance=tolerance)
    answer(limit, 0.2, calls=100)
    assert limit.current == 20
    answer(limit, 0.8, calls=20)
    assert (limit.current < 20) is lowers


@pytest.mark.parametrize(("ignored", "lowers"), [(0.5, True), (1.0, False)])
def test_latencies_that_nobody_notices_are_ignored(time: ManualTime, ignored: float, lowers: bool) -> None:
    limit = limit_of(time, latency_ignored_seconds=ignored)
    answer(limit, 0.2, calls=100)
    answer(limit, 0.8, calls=20)
    assert (limit.current < 20) is lowers


def test_the_later_they_come_the_lower_it_gets_but_at_most_by_half(time: ManualTime) -> None:
    after = []
    for latency in (0.6, 100.0):
        limit = limit_of(time, baseline_calls=1_000_000)
        answer(limit, 0.2, calls=1000)
        while limit.current == 20:
            answer(limit, latency)
        after.append(limit.current)
    assert 10 == after[1] < after[0] < 20


@pytest.mark.parametrize("recent", [5, 31])
def test_latency_lowers_it_when_half_of_so_many_calls_were_late(time: ManualTime, recent: int) -> None:
    limit = limit_of(time, recent_calls=recent, baseline_calls=1_000_000)
    answer(limit, 0.2, calls=10_000)
    answer(limit, 10.0, calls=recent // 2)
    assert limit.current == 20
    answer(limit, 10.0)
    assert limit.current == 10


def test_latency_lowers_it_again_only_after_as_many_calls_of_its_own(time: ManualTime) -> None:
    limit = limit_of(time, baseline_calls=1_000_000)
    answer(limit, 0.2, calls=10_000)
    answer(limit, 10.0, calls=3)
    old = limit.epoch - 1
    for _ in range(20):
        limit.first_token(10.0, in_flight=20, epoch=old)
    answer(limit, 10.0, calls=4)
    assert limit.current == 10
    answer(limit, 10.0)
    assert limit.current == 5


@pytest.mark.parametrize(("baseline", "lowers"), [(1000, True), (10, False)])
def test_what_is_usual_is_learnt_over_so_many_calls(time: ManualTime, baseline: int, lowers: bool) -> None:
    limit = limit_of(time, baseline_calls=baseline)
    latency = 0.2
    for _ in range(200):
        answer(limit, latency)
        latency *= 1.02
    assert (limit.current < 20) is lowers


def test_late_first_tokens_of_an_idle_gate_are_not_its_limits_fault(time: ManualTime) -> None:
    limit = limit_of(time)
    answer(limit, 0.2, calls=100)
    answer(limit, 5.0, calls=20, in_flight=1)
    assert limit.current == 20


def test_it_does_not_grow_while_first_tokens_come_late(time: ManualTime) -> None:
    limit = limit_of(time, baseline_calls=1_000_000)
    answer(limit, 0.2, calls=1000)
    answer(limit, 5.0, calls=20, in_flight=1)
    succeed(limit, 10)
    assert limit.current == 20


def test_a_provider_that_became_faster_is_measured_by_its_new_latency(time: ManualTime) -> None:
    limit = limit_of(time, baseline_calls=100)
    answer(limit, 4.0, calls=100)
    answer(limit, 0.2, calls=100)
    answer(limit, 1.6, calls=20)
    assert limit.current < 20


@pytest.mark.parametrize(("replicas", "limit_each", "ceiling_each"), [(1, 20, 40), (2, 10, 20), (100, 1, 1)])
def test_replicas_share_limit_and_ceiling_and_each_keeps_one(
    time: ManualTime, replicas: int, limit_each: int, ceiling_each: int
) -> None:
    limit = limit_of(time, floor=1)
    limit.set_share(replicas)
    assert limit.current == limit_each
    succeed(limit, 1000)
    assert limit.current == ceiling_each


def test_the_share_of_a_replica_that_left_is_taken_over(time: ManualTime) -> None:
    limit = limit_of(time)
    limit.set_share(4)
    limit.set_share(2)
    assert limit.current == 10
    limit.set_share(1)
    assert limit.current == 20
