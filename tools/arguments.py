"""A model's arguments: checked, in the one form that consent is given to, and as readers see them."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson
import rfc8785

from tools.base import Arguments, Tool
from tools.schemas import SchemaUnusableError, UnfitError, depth, fit
from tools.urls import refusal

MAX_ARGUMENT_BYTES = 256 * 1024
MAX_ARGUMENT_DEPTH = 32

_SHOWN_CHARACTERS = 200
_SHOWN_ITEMS = 20
_NOT_EXACT = 2**53
_TOO_LARGE = "A number among the arguments is too large to be exact."
_HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|authori[sz]ation|cookie|private.?key|api.?key"
    r"|access.?key|(^|[_-])(pin|otp|cvv|iban)($|[_-])",
    re.IGNORECASE,
)


class ArgumentError(ValueError):
    """A tool cannot be called with these arguments; the message tells the model what is wrong."""


def checked(tool: Tool, raw: str) -> dict[str, Any]:
    """The arguments that a model wrote, or a person edited, as JSON; nothing at all is an empty object.

    Raises:
        ArgumentError: They are no JSON object, or do not fit the tool's schema.
    """
    if len(raw) > MAX_ARGUMENT_BYTES or len(raw.encode(errors="replace")) > MAX_ARGUMENT_BYTES:
        raise ArgumentError(f"The arguments are longer than {MAX_ARGUMENT_BYTES} bytes.")
    try:
        arguments = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise ArgumentError(
            f"The arguments are not valid JSON (line {error.lineno}, column {error.colno}). "
            "Call the tool again with one JSON object."
        ) from error
    if not isinstance(arguments, dict):
        raise ArgumentError("The arguments must be one JSON object.")
    fitting(tool, arguments)
    return arguments


def fitting(tool: Tool, arguments: Arguments) -> None:
    """Return when a tool can be called with these.

    Raises:
        ArgumentError: They do not fit its schema, or an address among them is not public.
    """
    if depth(arguments, MAX_ARGUMENT_DEPTH) > MAX_ARGUMENT_DEPTH:
        raise ArgumentError("The arguments are nested too deeply.")
    try:
        fit(tool.parameters, arguments)
    except UnfitError as error:
        raise ArgumentError(f"The arguments do not fit the tool's schema: {error}") from error
    except SchemaUnusableError as error:
        raise ArgumentError("The tool's schema cannot be used, so the tool cannot be called.") from error
    for name in sorted(tool.urls & arguments.keys()):
        why = refusal(str(arguments[name]))
        if why is not None:
            raise ArgumentError(f"{name}: {why}")
    if not _exact(arguments):
        raise ArgumentError(_TOO_LARGE)


def canonical(arguments: Arguments) -> bytes:
    """The arguments in the form of RFC 8785: equal values are equal bytes.

    Raises:
        ArgumentError: A number is none that every reader of JSON understands alike.
    """
    if not _exact(arguments):
        raise ArgumentError(_TOO_LARGE)
    return rfc8785.dumps(dict(arguments))


def digest(arguments: Arguments) -> str:
    """SHA-256, in hex, of the canonical form."""
    return hashlib.sha256(canonical(arguments)).hexdigest()


def redacted(tool: Tool, arguments: Arguments) -> dict[str, Any]:
    """The arguments as those see them who read a run along: without what is sensitive, and shortened.

    Nothing to consent to: who is asked must see all of it.
    """
    return {
        name: _HIDDEN if name in tool.sensitive or _SECRET_NAME.search(name) else _shown(value)
        for name, value in arguments.items()
    }


def _exact(value: object) -> bool:
    # Whole numbers beyond that are written alike by none and read alike by none, floats among them.
    if isinstance(value, int | float):
        return abs(value) < _NOT_EXACT
    if isinstance(value, Mapping):
        return all(map(_exact, value.values()))
    return all(map(_exact, value)) if isinstance(value, list) else True


def _shown(value: object) -> object:
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]}... [{len(value)} characters]"
    if isinstance(value, Mapping):
        items = list(value.items())
        shown = {k: _HIDDEN if _SECRET_NAME.search(k) else _shown(v) for k, v in items[:_SHOWN_ITEMS]}
        return shown if len(items) <= _SHOWN_ITEMS else {**shown, "...": f"[{len(items)} entries]"}
    if isinstance(value, list):
        more = [f"... [{len(value)} items]"] if len(value) > _SHOWN_ITEMS else []
        return [_shown(one) for one in value[:_SHOWN_ITEMS]] + more
    return value
