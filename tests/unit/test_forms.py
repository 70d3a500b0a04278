"""A form's values in the types of a tool, and as a block of text."""

import orjson
import pytest

from agents.forms import arguments_of, filled, shown
from agents.spec import FormBlock, FormField, FormSpec


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
    assert orjson.loads(arguments_of(form("field"), {"field": value}, parameters)) == {"field": typed}


def test_a_value_of_no_argument_stays_text_for_the_judge_to_refuse() -> None:
    assert orjson.loads(arguments_of(form("other"), {"other": "7"}, {})) == {"other": "7"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"title": "Sea", "goal": "open"}, "* Sea\n  open\nend"),
        ({"title": "Sea", "goal": "open", "tags": ":a:"}, "* Sea :a:\n  open\nend"),
        ({"title": "S\nea", "goal": "* TODO x\n\n** y"}, "* S ea\n  * TODO x\n  ** y\nend"),
        (
            {"title": "Sea", "goal": "o", "tasks": "one\n \n two "},
            "* Sea\n  o\n** TODO one\n** TODO two\nend",
        ),
        ({"title": "{goal}", "goal": "{title}"}, "* {goal}\n  {title}\nend"),
    ],
)
def test_a_block_holds_each_value_where_it_belongs_and_nothing_else_begins_a_line(
    values: dict[str, str], text: str
) -> None:
    block = FormBlock(argument="text", lines=("* {title} {tags}", "  {goal}", "** TODO {tasks}", "end"))
    one = form("title", "goal", "tags", "tasks", block=block)
    assert orjson.loads(arguments_of(one, values, {})) == {"text": text}
    assert shown(one, filled(one, values, {})) == text


def test_a_block_and_its_fields_are_the_same() -> None:
    with pytest.raises(ValueError, match="not both in the fields and in the block: other, title"):
        form("title", block=FormBlock(argument="text", lines=("{other}",)))


def form(*names: str, block: FormBlock | None = None) -> FormSpec:
    fields = tuple(FormField(name=name, description="?", required=False) for name in names)
    return FormSpec(fields=fields, action="act", block=block)
