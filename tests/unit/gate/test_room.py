"""When those who wait for room are told to ask again."""

import asyncio
from dataclasses import replace

import pytest

from providers.gate.base import Saturated, Unavailable
from providers.gate.budget import BudgetSettings
from providers.gate.gate import ModelGate
from providers.gate.permit import GateSettings
from tests.unit.gate.gates import CALM, DOWN, INFO, Heard, admitted, all_admitted, full, gate_of, go_down
from tests.unit.gate.manual_time import ManualTime


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def test_listeners_are_told_when_a_call_ends_and_until_they_end_that(time: ManualTime) -> None:
    gate = gate_of(time)
    heard, other = Heard(gate), Heard(gate)
    permits = all_admitted(gate)
    assert heard.times == 0
    permits.pop().succeeded(None)
    permits.pop().abandoned()
    heard.end()
    heard.end()
    permits.pop().failed(DOWN)
    permits.pop().abandoned()
    assert (heard.times, other.times) == (2, 4)


def test_a_listener_can_be_admitted_while_it_is_told(time: ManualTime) -> None:
    gate = gate_of(time)
    permits = all_admitted(gate)
    end = gate.on_room(lambda: permits.append(admitted(gate)))
    permits.pop(0).succeeded(None)
    end()
    assert gate.snapshot().in_flight == 4
    for permit in permits:
        permit.abandoned()


@pytest.mark.parametrize(
    ("settings", "wait"),
    [
        (replace(CALM, requests=BudgetSettings(per_minute=6.0, burst_seconds=10.0)), 10.0),
        (replace(CALM, tokens=BudgetSettings(per_minute=600.0, burst_seconds=10.0)), 10.0),
    ],
)
def test_listeners_are_told_when_a_budget_has_refilled(
    time: ManualTime, settings: GateSettings, wait: float
) -> None:
    gate = gate_of(time, settings)
    admitted(gate, expected_tokens=100).succeeded(None)
    assert isinstance(gate.admit(expected_tokens=100), Saturated)
    heard = Heard(gate)
    time.advance(wait - 0.01)
    assert heard.times == 0
    time.advance(0.02)
    assert heard.times == 1
    admitted(gate, expected_tokens=99).abandoned()


def test_listeners_are_told_when_the_breaker_may_probe_though_nobody_asked(time: ManualTime) -> None:
    gate = gate_of(time)
    go_down(gate)
    heard = Heard(gate)
    time.advance(2.0)
    assert heard.times == 1
    admitted(gate).abandoned()


def test_listeners_are_told_when_retry_after_is_over(time: ManualTime) -> None:
    gate = gate_of(time)
    admitted(gate).failed(full(retry_after=7.0))
    heard = Heard(gate)
    assert isinstance(gate.admit(), Saturated)
    time.advance(7.0)
    assert heard.times == 1


def test_a_thousand_refusals_set_one_timer_for_the_earliest(time: ManualTime) -> None:
    gate = gate_of(time, replace(CALM, tokens=BudgetSettings(per_minute=600.0, burst_seconds=10.0)))
    admitted(gate, expected_tokens=100).succeeded(None)
    for tokens in range(1000, 0, -1):
        gate.admit(expected_tokens=tokens)
    assert time.waiting == [pytest.approx(time.now + 0.1)]


async def test_the_loops_own_timer_tells_listeners() -> None:
    settings = replace(CALM, requests=BudgetSettings(per_minute=600.0, burst_seconds=0.1))
    async with ModelGate(INFO, settings) as gate:
        admitted(gate).succeeded(None)
        assert isinstance(gate.admit(), Saturated)
        room = asyncio.Event()
        gate.on_room(room.set)
        await room.wait()
        admitted(gate).abandoned()


async def test_a_closed_gate_leaves_no_timer_behind(time: ManualTime) -> None:
    async with gate_of(time) as gate:
        heard = Heard(gate)
        go_down(gate)
        told = heard.times
        assert time.waiting
    assert time.waiting == []
    assert isinstance(gate.admit(), Unavailable)
    time.advance(10.0)
    assert (time.waiting, heard.times) == ([], told)


def test_who_waits_for_a_probe_is_told_by_its_end_and_not_by_the_clock(time: ManualTime) -> None:
    gate = gate_of(time)
    go_down(gate)
    time.advance(2.0)
    probe = admitted(gate)
    heard = Heard(gate)
    assert isinstance(gate.admit(), Unavailable)
    time.advance(60.0)
    assert (heard.times, time.waiting) == (0, [])
    probe.succeeded(None)
    assert heard.times == 1
