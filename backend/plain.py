"""Typed values of the client as JSON. Every field of a dataclass is told, whatever a later client adds."""

import json
import math
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Any

from fastapi import Response

_NOT_TOLD = frozenset({"chunk"})  # the message that the other fields were read from


def plain(value: object) -> Any:  # noqa: ANN401, C901, PLR0911 - one case for each kind of value
    """Enums by name, times as RFC 3339, durations in seconds, bytes in base64; NaN as null."""
    match value:
        case Enum():
            return value.name
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return b64encode(value).decode()
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} has no JSON")
    return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name not in _NOT_TOLD}


def dumps(value: object) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_response(
    body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """What `plain` has made, as a response that nobody keeps."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(dumps(body), status, kept, media_type="application/json")


async def first(found: AsyncGenerator[object], limit: int) -> list[Any]:
    """The first of a list that is fetched page by page, as JSON."""
    items: list[Any] = []
    async with aclosing(found):
        async for item in found:
            items.append(plain(item))
            if len(items) == limit:
                break
    return items
