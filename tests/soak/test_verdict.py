"""The verdict of a soak finds what leaks, and nothing in what only varies."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest

from tests.soak.record import LOADED, REST, RESTED
from tests.soak.slopes import same, slope
from tests.soak.verdict import GIVEN_BACK, GROWTH, MIB, Verdict, kept_back

_LEVELS = {"rss": 200.0 * MIB, "uss": 180.0 * MIB, "processes": 1.0, "sockets_close_wait": 0.0}
_SAMPLES, _EVERY = 100, 15.0
_BYTES = ("rss", "uss")
_ROWS = 5000.0
_NOTHING: Mapping[str, Any] = {}

Added = Callable[[float], float]
"""What a series has more than it should, by the seconds since the load went on."""


def _level(name: str) -> float:
    return _LEVELS.get(name, _ROWS if name.startswith("rows_") else 40.0)


def _busy(at: float) -> float:
    """Visits at once of a machine that is taken away from us for five minutes near the end."""
    return 100.0 if 1000 < at < 1300 else 10.0


def _sample(phase: str, at: float, values: dict[str, float]) -> dict[str, Any]:
    return {"phase": phase, "at": at, "visits": 0.0, "most_visits": 0.0, **values}


def _record(
    leaks: Mapping[str, Added] = _NOTHING,
    rest: Mapping[str, float] = _NOTHING,
    busy: Added = lambda _: 0.0,
) -> dict[str, Any]:
    """A quiet soak in which each series varies about its level by a tenth, memory by a hundredth."""
    random = Random(11)
    names = GROWTH.keys() | GIVEN_BACK.keys()
    idle = {name: _level(name) for name in names}
    samples = [_sample(RESTED, 300.0, idle)]
    for number in range(_SAMPLES):
        values = {}
        for name in sorted(names):
            noise = 0.01 if name in _BYTES else 0.1
            more = leaks[name](number * _EVERY) if name in leaks else 0.0
            values[name] = _level(name) * (1 + random.uniform(-noise, noise)) + more
        values["visits"] = values["most_visits"] = busy(number * _EVERY)
        samples.append(_sample(LOADED, 301 + number * _EVERY, values))
    samples.append(_sample(REST, 302 + _SAMPLES * _EVERY, {**idle, **rest}))
    visits = {"kinds": {"chat": 9000}, "failed": {}, "offered": 9000, "refused": 0, "not_ended": 0}
    return {"plan": {"rest": 35.0}, "capacity": 20.0, "rate": 14.0, "samples": samples, **visits}


def _missed(record: dict[str, Any]) -> list[str]:
    return [goal.split()[0] for goal, reached in Verdict(record).goals.items() if not reached]


def test_what_only_varies_is_level() -> None:
    assert _missed(_record()) == []


@pytest.mark.parametrize(
    ("name", "a_minute"),
    [
        ("rss", 0.5 * MIB),
        ("uss", 0.5 * MIB),
        ("descriptors", 0.4),
        ("tasks", 0.4),
        ("threads", 0.4),
        ("postgres", 0.4),
        ("sockets_grpc", 0.4),
        ("sockets_close_wait", 0.4),
        ("rows_runs", 50.0),
        ("rows_run_events", 1500.0),
    ],
)
def test_a_slow_leak_is_found(name: str, a_minute: float) -> None:
    assert _missed(_record({name: lambda seconds: a_minute * seconds / 60})) == [name]


def test_a_leak_in_steps_is_found() -> None:
    assert _missed(_record({"rss": lambda seconds: seconds // 300 * 4 * MIB})) == ["rss"]


def test_a_burst_in_the_middle_is_no_leak() -> None:
    assert _missed(_record({"rss": lambda at: 60.0 * MIB * (600 < at < 800)})) == []


def test_what_shrinks_is_no_leak() -> None:
    assert _missed(_record({"rss": lambda seconds: -20 * MIB * seconds / 1500})) == []


@pytest.mark.parametrize("name", sorted(GIVEN_BACK))
def test_what_is_not_given_back_at_rest_is_found(name: str) -> None:
    record = _record(rest={name: _level(name) + GIVEN_BACK[name] + 1})
    assert _missed(record) == ["at"]
    assert list(kept_back(record)) == [name]


@pytest.mark.parametrize(
    "changed",
    [{"failed": {"chat: INTERNAL": 9}}, {"refused": 200}, {"not_ended": 1}, {"kinds": {}}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_load_that_was_not_what_was_meant_is_no_pass(changed: dict[str, Any]) -> None:
    assert Verdict(_record()).passed
    assert not Verdict(_record() | changed).passed


def test_a_quarter_of_wild_values_does_not_move_the_slope() -> None:
    times = [float(number) for number in range(100)]
    values = [1e9 if number % 4 == 1 else 2.0 * at for number, at in enumerate(times)]
    assert slope([(at, value, 0.0) for at, value in zip(times, values, strict=True)], same) == (
        pytest.approx(2.0, abs=0.5)
    )


@pytest.mark.parametrize(("name", "each"), [("tasks", 6.0), ("descriptors", 1.0), ("sockets_grpc", 1.0)])
def test_more_visits_at_once_are_no_leak(name: str, each: float) -> None:
    assert _missed(_record({name: lambda at: each * _busy(at)}, busy=_busy)) == []


def test_memory_that_a_new_high_of_visits_has_taken_and_keeps_is_no_leak() -> None:
    assert _missed(_record({"rss": lambda at: 20.0 * MIB * (at > 1000)}, busy=_busy)) == []
    assert _missed(_record({"rss": lambda at: 20.0 * MIB * (at > 600)})) == ["rss"]


@pytest.mark.parametrize(("name", "a_minute"), [("tasks", 2.0), ("descriptors", 1.0), ("rss", 0.5 * MIB)])
def test_a_leak_is_found_however_the_load_varies(name: str, a_minute: float) -> None:
    assert _missed(_record({name: lambda at: a_minute * at / 60 + _busy(at)}, busy=_busy)) == [name]


def test_connections_that_are_kept_for_the_next_call_need_a_rest_that_outlasts_them() -> None:
    record = _record(rest={"descriptors": 60.0, "sockets_provider": 60.0})
    assert list(kept_back(record)) == ["descriptors", "sockets_provider"]
    assert kept_back(record | {"plan": {"rest": 1.0}}) == {}
