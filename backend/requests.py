"""JSON bodies as messages of the contract, field by field under the contract's own names."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from backend.problems import ProblemError

M = TypeVar("M", bound=Message)

_NAMES_A_USER = frozenset({"userid", "owner"})  # in any spelling
_MOST_DIGITS = 18


def message_of(body: dict[str, Any], message: M, *, refused: tuple[str, ...] = ()) -> M:
    """Fill a message. Who calls is told by the session alone, so no key, however deep, may name a user.

    Raises:
        ProblemError: 400: a field that is none, has a wrong form, names a user, or is `refused` to browsers.
    """
    refuse_users(body)
    try:
        ParseDict(body, message)
    except ParseError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body: {error}") from error
    except RecursionError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is too deep") from error
    for name in refused:
        if message.HasField(name):
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "only a service may say that",
                violations={name: "is not a caller's to say"},
            )
    return message


def refuse_users(body: object, at: str = "") -> None:
    """Raises: ProblemError: 400: a key names a user."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if str(key).replace("_", "").lower() in _NAMES_A_USER:
                raise ProblemError(
                    HTTPStatus.BAD_REQUEST,
                    "who calls is what the session says",
                    violations={f"{at}{key}": "may not be given"},
                )
            refuse_users(value, f"{at}{key}.")
    elif isinstance(body, list):
        for value in body:
            refuse_users(value, at)


def _last_event_id(request: Request) -> int:
    text = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "Last-Event-ID: a sequence")
    return int(text)


LastEventID = Annotated[int, Depends(_last_event_id)]
"""The last sequence that the reader has, by the header or, for who cannot set it, `?after=`; 0 = none."""
