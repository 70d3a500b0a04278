"""How long a provider says to wait, in all the forms in which providers say it."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_SECONDS = 3600.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)", re.ASCII)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What the headers of an error say, at most an hour, or None."""
    if (milliseconds := headers.get("Retry-After-Ms")) is not None:
        seconds = _number(milliseconds) / 1000
    elif (value := headers.get("Retry-After")) is not None:
        seconds = _number(value)
        if math.isnan(seconds):
            seconds = _until(value, headers.get("Date"), parsedate_to_datetime)
    else:
        return None
    return clamped(seconds)


def clamped(seconds: float) -> float | None:
    """A wait that can be believed: finite, not negative, at most an hour."""
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def duration_seconds(value: str) -> float:
    """Seconds in a duration as `6m0s`, `120ms` or `1.5`; not a number for anything else."""
    parts = _PART.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return _number(value)


def seconds_until(value: str, date: str | None) -> float:
    """Seconds from the response's `date` to the RFC 3339 time `value`; not a number for anything else."""
    return _until(value, date, datetime.fromisoformat)


def _until(value: str, date: str | None, parse: Callable[[str], datetime]) -> float:
    # The provider's own clock is the base where it tells it: ours may be an hour off.
    try:
        base = parsedate_to_datetime(date) if date is not None else datetime.now(UTC)
        return (parse(value) - base).total_seconds()
    except (ValueError, TypeError):
        return math.nan


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
