"""Schemas from outside: which can be used, and that none of them does harm."""

from typing import Any

import pytest

from tools.schemas import MAX_SCHEMA_BYTES, SchemaUnusableError, UnfitError, fit, usable


def chain(length: int) -> dict[str, Any]:
    """Each part refers to the next twice: 2 to the power of `length` references to follow."""
    parts: dict[str, Any] = {
        f"p{n}": {"allOf": [{"$ref": f"#/$defs/p{n + 1}"}, {"$ref": f"#/$defs/p{n + 1}"}]}
        for n in range(length)
    }
    return {"type": "object", "$defs": {**parts, f"p{length}": {}}, "allOf": [{"$ref": "#/$defs/p0"}]}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "nonsense"},
        {"type": "object", "properties": {"a": {"type": "objekt"}}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema.json"}}},
        {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"type": "object", "allOf": [{"$ref": "other.json"}]},
        {"type": "object", "properties": {"a": {"$dynamicRef": "#a"}}},
        {"type": "object", "patternProperties": {"(a+)+$": {}}},
        {"type": "object", "allOf": [{"$ref": "#/nowhere"}]},
        {"$ref": "#"},
        {"type": "object", "description": "x" * MAX_SCHEMA_BYTES},
        nested(40),
        chain(60),
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_cannot_be_used_is_refused_soon(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaUnusableError):
        usable(schema)


def test_a_schema_whose_circle_is_met_only_later_is_refused_then() -> None:
    schema = usable(
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/loop"}},
            "$defs": {"loop": {"allOf": [{"$ref": "#/$defs/loop"}]}},
        }
    )
    with pytest.raises(SchemaUnusableError):
        fit(schema, {"a": 1})


def test_a_schema_may_refer_to_itself_as_deep_as_the_value_goes() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    schema = usable(tree)
    fit(schema, {"child": {"child": {}}})
    with pytest.raises(UnfitError, match=r"child\.child"):
        fit(schema, {"child": {"child": {"leaf": 1}}})


def test_a_regular_expression_is_left_to_who_serves_the_tool() -> None:
    schema = usable({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}})
    fit(schema, {"a": "a" * 60 + "b"})


def test_a_schema_without_a_type_is_that_of_an_object() -> None:
    assert usable({})["type"] == "object"
