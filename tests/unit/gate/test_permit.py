"""What the end of one call means for the gate, and that it is counted once."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import CallAccepted
from providers.gate.base import GateState, Saturated, Unavailable
from providers.gate.budget import BudgetSettings
from providers.gate.limit import LimitSettings
from providers.gate.permit import ModelPermit
from state.errors import ProviderBrokenError, ProviderError, ProviderRejectedError, ProviderUnavailableError
from tests.unit.gate.gates import CALM, DOWN, admitted, all_admitted, full, gate_of, go_down
from tests.unit.gate.manual_time import ManualTime

End = Callable[[ModelPermit], None]
NOTHING: dict[str, End] = {
    "abandoned": lambda permit: permit.abandoned(),
    "rejected": lambda permit: permit.failed(ProviderRejectedError("wrong key")),
    "saturated": lambda permit: permit.failed(full()),
}


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.mark.parametrize("error", [ProviderUnavailableError("down"), ProviderBrokenError("broke")])
@pytest.mark.parametrize("begun", [True, False])
def test_calls_that_fail_open_the_breaker_whether_or_not_their_answer_had_begun(
    time: ManualTime, error: ProviderError, begun: bool
) -> None:
    gate = gate_of(time)
    for _ in range(3):
        permit = admitted(gate)
        if begun:
            permit.accepted(CallAccepted())
            permit.first_token()
        permit.failed(error)
    assert isinstance(gate.admit(), Unavailable)


@pytest.mark.parametrize("end", NOTHING.values(), ids=NOTHING)
def test_what_is_not_the_providers_failure_counts_as_nothing(time: ManualTime, end: End) -> None:
    gate = gate_of(time)
    for _ in range(2):
        admitted(gate).failed(DOWN)
    for _ in range(20):
        end(admitted(gate))
        time.advance(60.0)
    assert gate.snapshot().state is GateState.AVAILABLE
    admitted(gate).failed(DOWN)
    assert gate.snapshot().state is GateState.UNAVAILABLE


@pytest.mark.parametrize("end", NOTHING.values(), ids=NOTHING)
def test_a_probe_that_shows_nothing_goes_to_the_next_caller(time: ManualTime, end: End) -> None:
    gate = gate_of(time)
    go_down(gate)
    time.advance(2.0)
    end(admitted(gate))
    time.advance(1.0)
    probe = admitted(gate)
    assert isinstance(gate.admit(), Unavailable)
    probe.succeeded(None)
    assert gate.snapshot().state is GateState.AVAILABLE


def test_a_503_is_left_alone_as_long_as_it_asks(time: ManualTime) -> None:
    gate = gate_of(time)
    for _ in range(3):
        admitted(gate).failed(ProviderUnavailableError("down", retry_after=9.0))
    assert gate.admit() == Unavailable(9.0)


def test_ten_calls_refused_at_once_lower_the_limit_once(time: ManualTime) -> None:
    gate = gate_of(time, CALM)
    for permit in all_admitted(gate):
        permit.failed(full())
    assert gate.snapshot().concurrency_limit == 3


@pytest.mark.parametrize(("late", "limit"), [(0.1, 8), (3.0, 4)])
def test_first_tokens_that_come_late_under_load_lower_the_limit(
    time: ManualTime, late: float, limit: int
) -> None:
    measured = LimitSettings(
        initial=8, ceiling=8, recent_calls=4, baseline_calls=1_000_000, latency_ignored_seconds=0.0
    )
    gate = gate_of(time, replace(CALM, limit=measured))
    for seconds in [0.1] * 20 + [late]:
        permits = all_admitted(gate)
        time.advance(seconds)
        for permit in permits:
            permit.first_token()
        for permit in permits:
            permit.succeeded(None)
    assert gate.snapshot().concurrency_limit == limit


@pytest.mark.parametrize("first", [*NOTHING, "succeeded"])
def test_only_the_first_end_counts(time: ManualTime, first: str) -> None:
    gate = gate_of(time)
    kept = admitted(gate)
    permit = admitted(gate)
    (permit.succeeded(None) if first == "succeeded" else NOTHING[first](permit))
    before = gate.snapshot()
    for _ in range(5):
        permit.succeeded(None)
        permit.failed(DOWN)
        permit.failed(full(retry_after=99.0))
        permit.abandoned()
        permit.accepted(CallAccepted())
        permit.first_token()
    assert gate.snapshot() == before
    assert before.in_flight == 1
    kept.abandoned()


def test_what_a_call_sends_replaces_what_it_was_admitted_with(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, tokens=BudgetSettings(per_minute=6000)))
    permit = admitted(gate, 1000)
    permit.expects(5500)
    assert isinstance(gate.admit(1000), Saturated)
    permit.expects(200)
    other = admitted(gate, 5000)
    permit.abandoned()
    permit.expects(6000)
    other.abandoned()
    admitted(gate, 6000).abandoned()


def test_a_permit_that_is_dropped_shows_itself_and_gives_its_place_back(time: ManualTime) -> None:
    gate = gate_of(time)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            admitted(gate)
    assert [one.category for one in seen] == [ResourceWarning] * 3
    assert gate.snapshot().in_flight == 0


STEPS = ["admit", "accept", "begin", "succeed", "fail", "refuse", "reject", "abandon", "wait", "share"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=120))
def test_no_order_of_events_breaks_the_limit_or_its_bounds(steps: list[tuple[str, int]]) -> None:
    time = ManualTime()
    gate = gate_of(time)
    permits: list[ModelPermit] = []
    open_permits = 0
    for step, number in steps:
        permit = permits[number % len(permits)] if permits else None
        match step:
            case "wait":
                time.advance(number / 2)
            case "share":
                gate.set_share(1 + number % 3)
            case "admit":
                answer = gate.admit(number)
                if isinstance(answer, ModelPermit):
                    permits.append(answer)
                    assert gate.snapshot().in_flight <= gate.snapshot().concurrency_limit
            case _ if permit is not None:
                _do(step, permit)
        snapshot = gate.snapshot()
        assert snapshot.in_flight >= 0
        assert 1 <= snapshot.concurrency_limit <= CALM.limit.ceiling
        open_permits = snapshot.in_flight
    for permit in permits:
        permit.abandoned()
    assert gate.snapshot().in_flight == 0
    assert open_permits <= len(permits)


def _do(step: str, permit: ModelPermit) -> None:
    match step:
        case "accept":
            permit.accepted(CallAccepted())
        case "begin":
            permit.first_token()
        case "succeed":
            permit.succeeded(None)
        case "fail":
            permit.failed(DOWN)
        case "refuse":
            permit.failed(full(retry_after=1.0))
        case "reject":
            permit.failed(ProviderRejectedError("wrong"))
        case "abandon":
            permit.abandoned()


@given(st.lists(st.sampled_from(["succeed", "fail", "refuse", "abandon"]), min_size=1, max_size=60))
def test_at_most_one_probe_is_under_way_whatever_becomes_of_it(ends: list[str]) -> None:
    time = ManualTime()
    gate = gate_of(time)
    go_down(gate)
    for end in ends:
        if gate.snapshot().state is GateState.AVAILABLE:
            go_down(gate)
        time.advance(300.0)
        probe = admitted(gate)
        assert all(isinstance(gate.admit(), Unavailable | Saturated) for _ in range(50))
        _do(end, probe)
