"""JSON Schemas of tools: which of those that others wrote can be used, and whether a value fits.

A schema that came from outside may not make us read anything from elsewhere, nor work without end: only
references into itself, bounded in number each time it is used, and no regular expressions.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_SCHEMA_BYTES = 32 * 1024
MAX_SCHEMA_DEPTH = 24
_MAX_REFERENCES = 2000
_FORBIDDEN = frozenset({"$dynamicRef", "$recursiveRef", "patternProperties", "$vocabulary"})
_NOTHING_ELSEWHERE: Registry[Any] = Registry()

Schema = Mapping[str, Any]

_references_left: ContextVar[int] = ContextVar("references_left")


class SchemaUnusableError(ValueError):
    """A schema from outside that cannot be used; the message says why, without any of its text."""


class UnfitError(ValueError):
    """A value does not fit its schema; the message says where and why."""


class _TooManyReferencesError(Exception):
    pass


def _counted(
    validator: Draft202012Validator, reference: object, instance: object, schema: Schema
) -> Iterator[ValidationError]:
    left = _references_left.get()
    if left <= 0:
        raise _TooManyReferencesError
    _references_left.set(left - 1)
    yield from Draft202012Validator.VALIDATORS["$ref"](validator, reference, instance, schema)


def _unchecked(*_: object) -> Iterator[ValidationError]:
    # A regular expression may take for ever; whoever serves the tool checks it.
    yield from ()


_Validator = extend(Draft202012Validator, {"$ref": _counted, "pattern": _unchecked})


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A schema as a key, by what it is and not by what it says; kept alive by being one."""

    schema: Schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schema is self.schema


@lru_cache(maxsize=256)
def _validator(same: _Same) -> Draft202012Validator:
    # Making one takes longer than using it.
    return _Validator(same.schema, registry=_NOTHING_ELSEWHERE)


def usable(schema: Mapping[str, Any], *, patterns: bool = True) -> Schema:
    """A schema of an object, as it came from outside; without `patterns` it may hold no regular expression.

    Raises:
        SchemaUnusableError: It is none, refers elsewhere, or is too large or too deep.
    """
    _bounded(schema, _FORBIDDEN if patterns else _FORBIDDEN | {"pattern"})
    if schema.get("type", "object") != "object":
        raise SchemaUnusableError("is not that of an object")
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, RecursionError) as error:
        raise SchemaUnusableError("is no JSON Schema") from error
    with suppress(UnfitError):
        fit(
            schema, {}
        )  # an empty object need not fit: this finds references that lead nowhere or in a circle
    return {**schema, "type": "object"}


def fit(schema: Schema, value: object) -> None:
    """Return when a value fits a schema.

    Raises:
        UnfitError: It does not.
        SchemaUnusableError: The schema's references lead nowhere, or too far.
    """
    token = _references_left.set(_MAX_REFERENCES)
    try:
        error = best_match(_validator(_Same(schema)).iter_errors(value))
    except (_TooManyReferencesError, RecursionError, Unresolvable) as caught:
        raise SchemaUnusableError("refers to what is not there, or in a circle") from caught
    finally:
        _references_left.reset(token)
    if error is not None:
        raise UnfitError(_told(error))


def depth(value: object, limit: int) -> int:
    """How deeply lists and objects are nested, counted up to `limit` + 1."""
    if limit < 0 or not isinstance(value, Mapping | list):
        return 0
    inner = value.values() if isinstance(value, Mapping) else value
    return 1 + max((depth(one, limit - 1) for one in inner), default=0)


def _bounded(schema: Mapping[str, Any], forbidden: frozenset[str]) -> None:
    if depth(schema, MAX_SCHEMA_DEPTH) > MAX_SCHEMA_DEPTH:
        raise SchemaUnusableError("is nested too deeply")
    try:
        size = len(orjson.dumps(schema))
    except TypeError as error:
        raise SchemaUnusableError("is no JSON") from error
    if size > MAX_SCHEMA_BYTES:
        raise SchemaUnusableError("is too large")
    _only_into_itself(schema, forbidden)


def _only_into_itself(part: object, forbidden: frozenset[str]) -> None:
    if isinstance(part, list):
        for one in part:
            _only_into_itself(one, forbidden)
    elif isinstance(part, Mapping):
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise SchemaUnusableError("refers elsewhere")
        if forbidden & part.keys():
            raise SchemaUnusableError("uses what cannot be checked here")
        for one in part.values():
            _only_into_itself(one, forbidden)


def _told(error: ValidationError) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    where = place.removeprefix(".")[:100]
    message = error.message if len(error.message) <= _LONGEST_MESSAGE else f"does not fit {error.validator}"
    return f"{where}: {message}" if where else message


_LONGEST_MESSAGE = 300
