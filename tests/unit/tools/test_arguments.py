"""What a model writes as arguments: what is taken, what is told, what is hashed and what is shown."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.arguments import (
    MAX_ARGUMENT_BYTES,
    ArgumentError,
    canonical,
    checked,
    digest,
    fitting,
    redacted,
)
from tools.base import Tool

TOOL = Tool(
    "note",
    "",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 10},
            "line": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            "url": {"type": "string"},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    "file_write",
    urls=frozenset({"url"}),
)
FREE = Tool("free", "", {"type": "object"}, "x", sensitive=frozenset({"diary"}))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("{", "not valid JSON"),
        ('{"text": "a"} and more', "not valid JSON"),
        ("{'text': 'a'}", "not valid JSON"),
        ('{"text": NaN}', "not valid JSON"),
        ('{"text": "\\ud800"}', "not valid JSON"),
        ("[]", "one JSON object"),
        ("null", "one JSON object"),
        ('"text"', "one JSON object"),
        ("", "'text' is a required property"),
        ("{}", "'text' is a required property"),
        ('{"text": ""}', "text: "),
        ('{"text": 5}', "text: 5 is not of type 'string'"),
        ('{"text": "a", "line": -1}', "line: -1 is less than the minimum"),
        ('{"text": "a", "line": 2147483648}', "line: "),
        ('{"text": "a", "line": 1.5}', "line: 1.5 is not of type 'integer'"),
        ('{"text": "a", "user_id": "bob"}', "'user_id'"),
        ('{"text": "a", "url": "http://127.0.0.1/"}', "url: must be a public address"),
        ('{"text": "%s"}' % ("x" * MAX_ARGUMENT_BYTES), "longer than"),
    ],
)
def test_the_model_is_told_what_is_wrong(raw: str, told: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        checked(TOOL, raw)
    assert told in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_long_wrong_value_is_not_repeated_to_the_model() -> None:
    with pytest.raises(ArgumentError) as raised:
        checked(TOOL, json.dumps({"text": "x" * 5000}))
    assert "does not fit maxLength" in str(raised.value)


def test_nothing_at_all_is_an_empty_object() -> None:
    assert checked(FREE, "  ") == {}


def test_arguments_nested_too_deeply_are_refused() -> None:
    with pytest.raises(ArgumentError, match="too deeply"):
        checked(FREE, '{"a":' * 40 + "1" + "}" * 40)


@pytest.mark.parametrize(
    "number", ["1e400", "9007199254740992", "9007199254740992.0", "-1e21", "123456789012345678901234567890"]
)
def test_a_number_that_is_not_the_same_for_everybody_is_refused(number: str) -> None:
    with pytest.raises(ArgumentError):
        checked(FREE, f'{{"a": {number}}}')


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"a": 1.0, "b": 1e-7, "c": -0.0}, b'{"a":1,"b":1e-7,"c":0}'),
        ({"\u20ac": "x", "\r": "y", "1": "z"}, '{"\\r":"y","1":"z","\u20ac":"x"}'.encode()),
        ({"a": "\u001f\u007f/"}, b'{"a":"\\u001f\x7f/"}'),
        ({}, b"{}"),
    ],
)
def test_the_canonical_form_is_that_of_rfc_8785(arguments: dict[str, Any], form: bytes) -> None:
    assert canonical(arguments) == form


def test_the_digest_is_the_sha256_of_the_canonical_form() -> None:
    # echo -n '{"a":2,"b":1}' | sha256sum
    assert digest({"b": 1, "a": 2}) == "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772"


@settings(deadline=None)
@given(OBJECTS)
def test_equal_arguments_have_one_form_whatever_the_order(arguments: dict[str, Any]) -> None:
    turned = dict(reversed(arguments.items()))
    assert canonical(turned) == canonical(arguments)
    assert canonical(json.loads(canonical(arguments))) == canonical(arguments)


@settings(deadline=None)
@given(st.text() | OBJECTS.map(json.dumps))
def test_whatever_the_model_writes_is_taken_or_told(raw: str) -> None:
    try:
        arguments = checked(FREE, raw)
    except ArgumentError:
        return  # and nothing else
    fitting(FREE, arguments)


def test_readers_see_neither_what_is_sensitive_nor_secrets_nor_all_of_what_is_long() -> None:
    arguments = {
        "diary": "dear diary",
        "api_key": "sk-1",
        "headers": {"Authorization": "Bearer 1", "Accept": "text"},
        "text": "x" * 5000,
        "items": list(range(100)),
        "pin": "1234",
        "spinning": "wheel",
    }
    shown = redacted(FREE, arguments)
    assert shown["diary"] == shown["api_key"] == shown["pin"] == "[hidden]"
    assert shown["headers"] == {"Authorization": "[hidden]", "Accept": "text"}
    assert shown["text"] == "x" * 200 + "... [5000 characters]"
    assert shown["items"] == [*range(20), "... [100 items]"]
    assert shown["spinning"] == "wheel"


@settings(deadline=None)
@given(OBJECTS)
def test_what_readers_see_is_json(arguments: dict[str, Any]) -> None:
    json.dumps(redacted(FREE, arguments))
