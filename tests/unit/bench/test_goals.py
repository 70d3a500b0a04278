"""The goals of `make bench`, in results that were never measured."""

from typing import Any

import pytest

from bench.goals import GOALS, MISSED, NOT_MEASURED, PASS
from bench.page_text import results_of
from bench.peers.sides import OURS
from tests.unit.bench.made_up import run


def verdicts(results: dict[str, Any]) -> list[str]:
    return [goal.verdict(results) for goal in GOALS]


def one(word: str, results: dict[str, Any]) -> str:
    """The verdict of the only goal whose name has this word."""
    [goal] = [goal for goal in GOALS if word in goal.name]
    return goal.verdict(results)


@pytest.fixture
def results() -> dict[str, Any]:
    return dict(results_of(run()))


def test_what_was_not_measured_is_neither_passed_nor_missed() -> None:
    assert set(verdicts({})) == {NOT_MEASURED}


def test_a_whole_run_has_a_verdict_for_every_goal(results: dict[str, Any]) -> None:
    assert set(verdicts(results)) == {PASS, MISSED}


def test_more_streams_are_better_and_more_time_is_worse(results: dict[str, Any]) -> None:
    assert (one("carried", results), one("p99, 64", results)) == (PASS, PASS)
    results["streams"]["carried"][OURS]["streams"] = 129
    results["streams"]["sides"][OURS]["64"]["added_first_token"]["p99"] = 0.0251
    assert (one("carried", results), one("p99, 64", results)) == (MISSED, MISSED)


def test_a_call_refused_above_what_is_carried_is_no_failure(results: dict[str, Any]) -> None:
    results["streams"]["sides"][OURS]["256"]["failed"] = 0.5
    assert one("fail", results) == PASS
    results["streams"]["sides"][OURS]["64"]["failed"] = 0.01
    assert one("fail", results) == MISSED


def test_statements_are_flat_only_where_all_rows_were_there(results: dict[str, Any]) -> None:
    assert one("statement", results) == PASS
    results["growth"]["line"]["times"]["claim"] = 2.1
    assert one("statement", results) == MISSED
    results["growth"]["events"]["rows"].pop()
    assert one("statement", results) == NOT_MEASURED
