"""What time it is, anywhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

Now = Callable[[], datetime]
"""The time now, in UTC."""

_WRITTEN = "%A, %Y-%m-%d %H:%M:%S"


class UnknownZoneError(ValueError):
    """There is no such time zone; the message tells the model."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def time_in(zone: str, now: Now) -> str:
    """The time in a zone of the IANA database, with the day of the week and the offset.

    Raises:
        UnknownZoneError: There is none of this name.
    """
    try:
        here = now().astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError) as error:  # OSError: a folder of zones, as "America"
        raise UnknownZoneError(f"The time zone {zone!r} is not known; name one as Europe/Berlin.") from error
    return f"{here.strftime(_WRITTEN)} {here.tzname()} (UTC{here.strftime('%z')}), {here.isoformat()}"
