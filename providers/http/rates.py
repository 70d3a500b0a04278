"""What is left of a provider's limits, as the headers of its answer say."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from providers.base import RateRemaining

_MOST_DIGITS = 12
"""A longer number is no limit of anybody's."""


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The names under which one vendor says it."""

    requests: str
    requests_reset: str
    tokens: str
    tokens_reset: str


def read_rates(
    headers: Mapping[str, str], names: RateHeaders, seconds: Callable[[str], float]
) -> RateRemaining | None:
    """None when the headers say nothing. `seconds` reads a reset time; what it cannot read is left out."""
    remaining = RateRemaining(
        requests=_count(headers.get(names.requests)),
        requests_reset_seconds=_wait(headers.get(names.requests_reset), seconds),
        tokens=_count(headers.get(names.tokens)),
        tokens_reset_seconds=_wait(headers.get(names.tokens_reset), seconds),
    )
    return None if remaining == RateRemaining() else remaining


def _count(value: str | None) -> int | None:
    if not value or len(value) > _MOST_DIGITS or not value.isascii() or not value.isdigit():
        return None
    return int(value)


def _wait(value: str | None, seconds: Callable[[str], float]) -> float | None:
    if value is None:
        return None
    wait = seconds(value)
    return max(wait, 0.0) if math.isfinite(wait) else None
