"""How high a rate may be is read from a ramp."""

import pytest

from tests.soak.pace import Step, capacity, carried

_QUICK = 0.1


def _steps(*figures: tuple[float, float, float]) -> list[Step]:
    """Rate, share of a processor, and wait of each."""
    return [Step(rate, cpu, wait, 0.0) for rate, cpu, wait in figures]


@pytest.mark.parametrize(
    ("steps", "rate"),
    [
        (_steps((4, 0.2, _QUICK), (8, 0.4, _QUICK), (16, 0.8, _QUICK), (32, 1.0, 2.0)), 20.0),
        (_steps((4, 0.2, _QUICK), (8, 0.9, _QUICK), (9, 1.0, _QUICK)), 8.9),
        (_steps((4, 0.2, _QUICK), (8, 0.3, _QUICK), (16, 0.4, 1.0)), 8.0),
        (_steps((4, 0.2, _QUICK), (8, 0.4, _QUICK)), 8.0),
        (_steps((4, 1.0, _QUICK)), 4.0),
    ],
    ids=["a busy processor", "at most what failed", "text comes late", "nothing failed", "too much at once"],
)
def test_the_capacity_is_what_fills_the_processor_or_the_last_rate_that_was_well(
    steps: list[Step], rate: float
) -> None:
    assert capacity(steps) == pytest.approx(rate, abs=0.1)


def test_whoever_loads_has_to_keep_up_too() -> None:
    step = Step(4.0, 0.2, _QUICK, most_late=3.0)
    assert not carried([step])
