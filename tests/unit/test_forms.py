"""A form's values in the types of a tool."""

import orjson
import pytest

from agents.forms import arguments_of


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        ("string", "7", "7"),
        ("integer", "7", 7),
        ("integer", "seven", "seven"),
        ("number", "0.5", 0.5),
        ("boolean", "Yes", True),
        ("boolean", "no", False),
        ("array", "a, b,", ["a", "b"]),
        (None, "x", "x"),
    ],
)
def test_a_value_takes_the_type_of_its_argument(kind: str | None, value: str, typed: object) -> None:
    parameters = {"properties": {"field": {"type": kind}}}
    assert orjson.loads(arguments_of({"field": value}, parameters)) == {"field": typed}


def test_a_value_of_no_argument_stays_text_for_the_judge_to_refuse() -> None:
    assert orjson.loads(arguments_of({"other": "7"}, {})) == {"other": "7"}
