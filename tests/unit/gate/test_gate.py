"""What a gate answers, and what it shows and tells."""

from dataclasses import replace
from time import perf_counter

import pytest

from providers.base import CallAccepted, TokenCount
from providers.gate.base import GateState, Saturated, SaturatedBy, Unavailable
from providers.gate.budget import BudgetSettings
from providers.gate.gate import ModelGate
from providers.gate.permit import ModelPermit
from tests.harness.scale import report
from tests.unit.gate.gates import (
    CALM,
    DOWN,
    INFO,
    Heard,
    admitted,
    all_admitted,
    full,
    gate_of,
    go_down,
    left,
)
from tests.unit.gate.manual_time import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def wait_for_tokens(gate: ModelGate, tokens: int) -> float | None:
    refusal = gate.admit(tokens)
    assert isinstance(refusal, Saturated)
    assert refusal.by is SaturatedBy.TOKENS
    return refusal.retry_after


def test_it_admits_as_many_calls_as_its_limit(time: ManualTime) -> None:
    gate = gate_of(time)
    permits = all_admitted(gate)
    assert len(permits) == 4
    assert gate.admit() == Saturated(SaturatedBy.CONCURRENCY)
    permits[0].succeeded(None)
    permits.append(admitted(gate))
    for permit in permits:
        permit.abandoned()


def test_a_gate_without_room_names_the_request_budget_and_the_wait(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, requests=BudgetSettings(per_minute=6.0, burst_seconds=20.0)))
    for _ in range(2):
        admitted(gate).succeeded(None)
    assert gate.admit() == Saturated(SaturatedBy.REQUESTS, 10.0)


def test_a_gate_without_room_names_the_token_budget_and_the_wait(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, tokens=BudgetSettings(per_minute=600.0, burst_seconds=10.0)))
    admitted(gate, expected_tokens=80).succeeded(None)
    assert wait_for_tokens(gate, 50) == pytest.approx(3.0)
    admitted(gate, expected_tokens=20).abandoned()


def test_retry_after_blocks_until_it_is_over(time: ManualTime) -> None:
    gate = gate_of(time)
    admitted(gate).failed(full(retry_after=7.0))
    assert gate.admit() == Saturated(SaturatedBy.VENDOR, 7.0)
    time.advance(7.0)
    admitted(gate).abandoned()


def test_the_default_of_an_error_is_not_taken_for_the_providers_word(time: ManualTime) -> None:
    gate = gate_of(time)
    admitted(gate).failed(full())
    assert gate.admit() == Saturated(SaturatedBy.VENDOR, CALM.pause.least_seconds)


def test_a_provider_that_is_down_is_unavailable_before_it_is_anything_else(time: ManualTime) -> None:
    gate = gate_of(time)
    others = [admitted(gate) for _ in range(3)]
    admitted(gate).failed(full(retry_after=60.0))
    for permit in others:
        permit.failed(DOWN)
    assert gate.admit() == Unavailable(2.0)


def test_saturation_never_opens_the_breaker(time: ManualTime) -> None:
    gate = gate_of(time)
    for _ in range(50):
        admitted(gate).failed(full())
        time.advance(60.0)
    assert gate.snapshot().state is GateState.AVAILABLE
    assert gate.snapshot().concurrency_limit == 1


def test_what_the_provider_says_is_left_is_obeyed(time: ManualTime) -> None:
    gate = gate_of(time)
    permit = admitted(gate)
    permit.accepted(left(requests=0, requests_reset_seconds=9.0))
    permit.succeeded(None)
    assert gate.admit() == Saturated(SaturatedBy.REQUESTS, 9.0)
    time.advance(9.0)
    permit = admitted(gate)
    permit.accepted(left(tokens=0, tokens_reset_seconds=5.0))
    permit.succeeded(None)
    assert gate.admit() == Saturated(SaturatedBy.TOKENS, 5.0)


def test_the_real_count_of_tokens_replaces_the_expected_one(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, tokens=BudgetSettings(per_minute=600.0, burst_seconds=10.0)))
    admitted(gate, expected_tokens=90).succeeded(TokenCount(input_tokens=10, output_tokens=20))
    permit = admitted(gate, expected_tokens=70)
    assert wait_for_tokens(gate, 1) == pytest.approx(0.1)
    permit.succeeded(TokenCount(input_tokens=100, output_tokens=30))
    assert wait_for_tokens(gate, 1) == pytest.approx(6.1)


@pytest.mark.parametrize("taken", [True, False])
def test_tokens_of_a_call_that_the_provider_never_took_are_given_back(time: ManualTime, taken: bool) -> None:
    gate = gate_of(time, replace(CALM, tokens=BudgetSettings(per_minute=600.0, burst_seconds=10.0)))
    for end in ("failed", "abandoned"):
        permit = admitted(gate, expected_tokens=100)
        if taken:
            permit.accepted(CallAccepted())
        permit.abandoned() if end == "abandoned" else permit.failed(DOWN)
        again = gate.admit(expected_tokens=100)
        assert isinstance(again, Saturated) is taken
        if isinstance(again, ModelPermit):
            again.abandoned()
        time.advance(60.0)


def test_a_permit_that_was_for_nothing_costs_no_request(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, requests=BudgetSettings(per_minute=6.0, burst_seconds=10.0)))
    for _ in range(20):
        admitted(gate).abandoned()
    admitted(gate).failed(full())
    time.advance(1.0)
    assert isinstance(gate.admit(), Saturated)


def test_it_shows_how_it_stands(time: ManualTime) -> None:
    gate = gate_of(time)
    snapshot = gate.snapshot()
    assert (snapshot.provider, snapshot.model) == ("acme", "small")
    assert (snapshot.state, snapshot.in_flight, snapshot.concurrency_limit) == (GateState.AVAILABLE, 0, 4)
    assert (snapshot.retry_after, snapshot.error_rate, snapshot.latency_p50) == (None, 0.0, None)
    permits = all_admitted(gate)
    snapshot = gate.snapshot()
    assert (snapshot.state, snapshot.in_flight, snapshot.retry_after) == (GateState.SATURATED, 4, None)
    for permit in permits:
        permit.abandoned()


def test_it_shows_an_outage_and_the_probe(time: ManualTime) -> None:
    gate = gate_of(time)
    go_down(gate)
    assert (gate.snapshot().state, gate.snapshot().retry_after) == (GateState.UNAVAILABLE, 2.0)
    time.advance(2.0)
    assert gate.snapshot().state is GateState.PROBING
    probe = admitted(gate)
    assert gate.snapshot().state is GateState.PROBING
    assert isinstance(gate.admit(), Unavailable)
    probe.succeeded(None)
    assert gate.snapshot().state is GateState.AVAILABLE


def test_its_error_rate_is_that_of_the_last_minute_and_of_the_provider_alone(time: ManualTime) -> None:
    gate = gate_of(time)
    admitted(gate).failed(DOWN)
    for _ in range(3):
        admitted(gate).succeeded(None)
    admitted(gate).abandoned()
    admitted(gate).failed(full())
    assert gate.snapshot().error_rate == 0.25
    time.advance(61.0)
    assert gate.snapshot().error_rate == 0.0


def test_its_latency_is_the_median_to_the_first_token_of_the_last_minute(time: ManualTime) -> None:
    gate = gate_of(time)
    for seconds in (1.0, 9.0, 2.0):
        permit = admitted(gate)
        time.advance(seconds)
        permit.first_token()
        time.advance(5.0)
        permit.first_token()
        permit.succeeded(None)
    assert gate.snapshot().latency_p50 == 2.0
    time.advance(61.0)
    assert gate.snapshot().latency_p50 is None


def test_a_new_share_keeps_count_of_the_calls_in_flight(time: ManualTime) -> None:
    gate = gate_of(time)
    heard = Heard(gate)
    permits = all_admitted(gate)
    gate.set_share(2)
    assert (gate.snapshot().in_flight, gate.snapshot().concurrency_limit) == (4, 2)
    for permit in permits[:2]:
        permit.abandoned()
    assert isinstance(gate.admit(), Saturated)
    permits[2].abandoned()
    admitted(gate).abandoned()
    heard.times = 0
    gate.set_share(1)
    assert (heard.times, gate.snapshot().concurrency_limit) == (1, 4)
    permits[3].abandoned()
    assert gate.snapshot().in_flight == 0


def test_there_is_no_share_of_no_replicas(time: ManualTime) -> None:
    with pytest.raises(ValueError, match="alive"):
        gate_of(time).set_share(0)


def test_asking_costs_microseconds() -> None:
    settings = replace(CALM, requests=BudgetSettings(1e9), tokens=BudgetSettings(1e12))
    gate = ModelGate(INFO, settings)
    plain: dict[int, int] = {}
    rounds = 20_000
    began = perf_counter()
    for _ in range(rounds):
        admitted(gate, expected_tokens=100).abandoned()
    both = perf_counter()
    for number in range(rounds):
        plain[number % 7] = number
    ended = perf_counter()
    each, write = (both - began) / rounds * 1e6, (ended - both) / rounds * 1e6
    report(f"admit and end: {each:.1f} us; a write to a dict: {write:.2f} us")
    # Ten times what was measured: something that waits, or grows with the calls made, would be far above.
    assert each < 2000 * write
