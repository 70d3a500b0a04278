"""Windows: for how long text is gathered, and when they end."""

import pytest

from orchestrator.windows import WIDEST_SECONDS, Window, next_flush, window_of
from state.models import RunId

RUNS = [RunId(f"r{number}") for number in range(100)]
MOMENTS = [100 + number / 1000 for number in range(200)]


def test_windows_of_few_runs_end_together_about_one_window_from_now() -> None:
    begun = [100.0, 100.011, 100.019, 100.029, 100.031, 100.039]
    ends = [next_flush(began, took=0.001, window=Window(0.04)) for began in begun]
    assert ends == pytest.approx([100.04, 100.04, 100.04, 100.04, 100.08, 100.08])
    assert {window_of(run, 0.025, 31).phase for run in RUNS} == {0.0}


def test_windows_of_a_crowd_end_in_turns() -> None:
    ends = [next_flush(100.0, 0.0, window_of(run, 0.025, 100)) for run in RUNS]
    assert len({round(end, 6) for end in ends}) == 3
    assert max(ends.count(end) for end in ends) < len(RUNS) / 2


def test_a_slow_store_widens_the_window_up_to_a_limit() -> None:
    assert next_flush(100.0, took=0.02, window=Window(0.04)) == pytest.approx(100.08)
    assert next_flush(100.0, took=5.0, window=Window(0.04)) == pytest.approx(100.1)


def test_many_runs_widen_the_window_and_leave_time_to_be_late_in() -> None:
    assert [window_of(RUNS[0], 0.025, runs).seconds for runs in (1, 7, 15)] == [0.025, 0.025, 0.05]
    window = window_of(RUNS[0], 0.025, 1000)
    waits = [next_flush(began, 0.0, window) - began for began in MOMENTS]
    assert window.seconds < max(waits) <= 0.75 * WIDEST_SECONDS
    assert min(waits) > 0.2 * window.seconds


def test_a_callers_own_window_is_never_made_shorter() -> None:
    assert window_of(RUNS[0], 1.0, 1000).seconds == 1.0


def test_a_window_of_no_length_ends_when_the_store_has_had_a_pause() -> None:
    assert next_flush(100.0, took=0.0, window=Window(0.0)) == 100.0
    assert next_flush(100.0, took=0.001, window=Window(0.0)) == pytest.approx(100.004)
