"""How long a provider that refused is left alone."""

from dataclasses import replace

import pytest

from providers.gate.pause import PauseSettings, VendorPause
from tests.unit.gate.manual_time import ManualTime

SETTINGS = PauseSettings(least_seconds=0.5, cap_seconds=4.0, jitter=0.0)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


def pause_of(time: ManualTime, **changes: float) -> VendorPause:
    return VendorPause(replace(SETTINGS, **changes), time.clock, time.chance)


def waits_of(pause: VendorPause, rounds: int) -> list[float]:
    waits = []
    for _ in range(rounds):
        pause.refused(None, news=True)
        waits.append(pause.wait())
    return waits


def test_without_a_refusal_there_is_none(time: ManualTime) -> None:
    assert pause_of(time).wait() == 0.0


def test_it_lasts_as_long_as_the_provider_asked(time: ManualTime) -> None:
    pause = pause_of(time)
    pause.refused(7.0, news=True)
    time.advance(6.0)
    assert pause.wait() == 1.0
    time.advance(1.0)
    assert pause.wait() == 0.0


def test_the_longest_wish_is_kept(time: ManualTime) -> None:
    pause = pause_of(time)
    pause.refused(7.0, news=True)
    pause.refused(2.0, news=False)
    assert pause.wait() == 7.0


@pytest.mark.parametrize("least", [0.5, 1.0])
def test_a_provider_that_asks_for_nothing_is_left_alone_too(time: ManualTime, least: float) -> None:
    pause = pause_of(time, least_seconds=least)
    pause.refused(0.0, news=True)
    assert pause.wait() == least


@pytest.mark.parametrize(("cap", "waits"), [(4.0, [0.5, 1, 2, 4, 4]), (1.5, [0.5, 1, 1.5, 1.5, 1.5])])
def test_rounds_that_are_refused_again_double_it_up_to_the_cap(
    time: ManualTime, cap: float, waits: list[float]
) -> None:
    assert waits_of(pause_of(time, cap_seconds=cap), 5) == waits


def test_a_burst_of_refusals_doubles_it_once(time: ManualTime) -> None:
    pause = pause_of(time)
    for refused in range(10):
        pause.refused(None, news=refused == 0)
    assert pause.wait() == 0.5
    assert waits_of(pause, 1) == [1.0]


@pytest.mark.parametrize(("admitted_after", "wait"), [(0.0, 0.5), (-0.1, 2.0)])
def test_a_call_taken_in_the_round_that_was_refused_ends_the_doubling(
    time: ManualTime, admitted_after: float, wait: float
) -> None:
    pause = pause_of(time)
    waits_of(pause, 1)
    time.advance(pause.wait())
    round_began = time.now
    time.advance(0.1)
    pause.refused(None, news=True)
    pause.taken(round_began + admitted_after)
    time.advance(10.0)
    assert waits_of(pause, 1) == [wait]


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 4.0), (0.5, 5.0)])
def test_chance_lets_replicas_come_back_apart_and_none_too_early(
    time: ManualTime, jitter: float, wait: float
) -> None:
    time.drawn = 0.5
    pause = pause_of(time, jitter=jitter)
    pause.refused(4.0, news=True)
    assert pause.wait() == wait
