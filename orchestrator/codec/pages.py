"""Page tokens: where the next page of a list begins, opaque to who carries them."""

import base64
import binascii
import json
from datetime import UTC, datetime
from uuid import UUID

import orjson

from state.errors import InvalidRequestError
from state.violations import FieldViolation

DEFAULT_SIZE = 50
MAX_SIZE = 200


def page_token(scope: str, position: str) -> str:
    """A token for the list `scope` that goes on after `position`; empty when there is no more."""
    if not position:
        return ""
    return base64.urlsafe_b64encode(json.dumps([scope, position]).encode()).decode().rstrip("=")


def page_position(scope: str, token: str) -> str:
    """What the token of this list stands for; empty for none.

    Raises:
        InvalidRequestError: It is no token of ours, or another list's.
    """
    if not token:
        return ""
    try:
        padded = token + "=" * (-len(token) % 4)
        # Stricter than json: no half of a surrogate pair, and no nesting that ends in a RecursionError.
        of, position = orjson.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, TypeError, binascii.Error) as error:
        raise invalid() from error
    if of != scope or not isinstance(position, str) or "\0" in position:
        raise invalid()
    return position


def moment_and_id(position: str) -> tuple[datetime, str] | None:
    """The position of a list by time; the id is a UUID, 32 hex digits."""
    if not position:
        return None
    time, _, name = position.partition(" ")
    try:
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise invalid()
        return moment.astimezone(UTC), UUID(name).hex
    except (ValueError, OverflowError) as error:
        raise invalid() from error


def page_size(size: int) -> int:
    """The size to use: 0 means the default, and too much means the most there is."""
    if size < 0:
        raise InvalidRequestError(FieldViolation("page_size", "may not be negative"))
    return min(size or DEFAULT_SIZE, MAX_SIZE)


def invalid() -> InvalidRequestError:
    """What a token is answered that is none of ours."""
    return InvalidRequestError(FieldViolation("page_token", "is not from this list"))
