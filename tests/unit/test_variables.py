"""What a request brings along stands in a prompt as data."""

import pytest

from agents.variables import check_variables, filled, places
from state.errors import InvalidRequestError


def test_only_names_in_braces_are_places() -> None:
    assert places('{a} {b_2} {"a": 1} { c } {D} {} {{e}}') == {"a", "b_2"}


def test_each_value_stands_between_marks_with_the_number() -> None:
    assert filled("See {a}!", {"a": "x"}, "77").startswith("See [data 77 begins]\nx\n[data 77 ends]!\n\n")


def test_what_looks_like_a_place_in_a_value_is_not_filled() -> None:
    text = filled("{a} {b}", {"a": "{b}", "b": "secret"}, "77")
    assert text.count("secret") == 1
    assert "\n{b}\n" in text


def test_keys_that_nobody_declared_go_nowhere() -> None:
    assert "secret" not in filled("{a}", {"a": "x", "b": "secret"}, "77")


@pytest.mark.parametrize("hints", [{"a": "x"}, {"a": "x", "b": ""}, {"a": "x", "b": " \n"}])
def test_a_missing_or_blank_value_is_named(hints: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        check_variables("judge", ("a", "b"), hints)
    assert [violation.field for violation in raised.value.violations] == ["metadata.b"]
