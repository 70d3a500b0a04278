"""Answers that have to be JSON of a given form: asked for, then checked, never mended."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from providers.base import JsonSchema
from state.errors import ProviderBrokenError
from tools.schemas import Schema, UnfitError, depth, fit

_MOST_CHARACTERS = 256 * 1024
_MOST_DEPTH = 32


def form_of(name: str, schema: Schema | None) -> JsonSchema | None:
    """What a model is held to that can be."""
    return None if schema is None else JsonSchema(name, schema)


def described(prompt: str, schema: Schema) -> str:
    """The prompt for a model that can only be told."""
    form = orjson.dumps(dict(schema)).decode()
    return (
        f"{prompt}\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n{form}"
    )


def check_answer(text: str, schema: Schema, wrong: type[ProviderBrokenError] = ProviderBrokenError) -> None:
    """Return when an answer is JSON of this form, and nothing but that.

    Raises:
        ProviderBrokenError: It is not: a `wrong`. Its text stays out of the message.
    """
    try:
        value = parsed(text)
    except (ValueError, RecursionError) as error:
        raise wrong("the model's answer is not the JSON that it had to be") from error
    try:
        fit(schema, value)
    except UnfitError as error:
        raise wrong("the model's answer does not have the form that it had to have") from error


def parsed(text: str) -> object:
    """The value of an answer that is JSON and nothing else, each name in it once.

    Raises:
        ValueError: It is not, or it is too long or too deep.
        RecursionError: It is much too deep.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("too long")
    orjson.loads(text)  # stricter than json: no NaN, no half of a surrogate pair
    value = json.loads(text, object_pairs_hook=_each_once)
    if depth(value, _MOST_DEPTH) > _MOST_DEPTH:
        raise ValueError("too deep")
    return value


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    # Of two values under one name, which one counts would be a guess.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found
