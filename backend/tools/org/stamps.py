"""Org timestamps as `<2026-01-31 Sat 14:00 +1w>`, read strictly and written the one way."""

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from llm_orchestrator_client.tool_service import InvalidArgumentError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STAMP = re.compile(
    r"<?(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[ ]+(?P<day>[^\W\d_]{2,10}\.?))?"
    r"(?:[ ]+(?P<from>[0-9]{1,2}:[0-9]{2})(?:--?(?P<to>[0-9]{1,2}:[0-9]{2}))?)?"
    r"(?:[ ]+(?P<repeater>(?:\+\+?|\.\+)[0-9]{1,4}[hdwmy]))?"
    r"(?:[ ]+(?P<warning>--?[0-9]{1,4}[hdwmy]))?[ ]*>?"
)
_REPEATER = re.compile(r"(?P<mark>\+\+?|\.\+)(?P<number>[1-9][0-9]{0,3})(?P<unit>[hdwmy])")
_LONGEST = 100
_MONTHS = {"m": 1, "y": 12}
_HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True, slots=True)
class Stamp:
    """A point in time as org writes it. `start` is at midnight unless `timed`; `end` is of the same day."""

    start: datetime
    timed: bool = False
    end: time | None = None
    repeater: str = ""
    warning: str = ""

    def __str__(self) -> str:
        parts = [f"{self.start.date().isoformat()} {day_name(self.start)}"]
        if self.timed:
            parts.append(f"{self.start:%H:%M}" + (f"-{self.end:%H:%M}" if self.end else ""))
        return f"<{' '.join(filter(None, (*parts, self.repeater, self.warning)))}>"

    def repeated(self, now: datetime) -> "Stamp":
        """The next time, once this one is done at `now`; itself without a repeater."""
        found = _REPEATER.fullmatch(self.repeater)
        if found is None:
            return self
        number, unit, mark = int(found["number"]), found["unit"], found["mark"]
        # `.+` counts from when it was done, `+` from when it was due, `++` from then on into the future.
        start = self._from_now(now, unit) if mark == ".+" else self.start
        times = 1
        after = _later(start, number, unit)
        while mark == "++" and after <= now:
            times = max(times + 1, _steps(start, now, number, unit))
            after = _later(start, number * times, unit)
        return replace(self, start=after)

    def _from_now(self, now: datetime, unit: str) -> datetime:
        moment = now.time() if unit == "h" else self.start.time()
        return datetime.combine(now.date(), moment.replace(second=0, microsecond=0))


def stamp_of(text: str, repeater: str = "", *, field: str) -> Stamp:
    """The timestamp that a request names, with its repeater there or here.

    The name of the day may be missing or in another language. `field` is the request's.

    Raises:
        InvalidArgumentError: It is no timestamp, no such day exists, the day has another name, or the
            repeater is none or contradicts the one in the timestamp.
    """
    found = _STAMP.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None or text.strip().startswith("<") != text.strip().endswith(">"):
        raise InvalidArgumentError("A timestamp is written as <2026-01-31 Sat>.", field=field)
    day = _day(found["date"], found["day"] or "", field)
    start, end = _time(found["from"], field), _time(found["to"], field)
    inside, given = found["repeater"] or "", repeater.strip()
    if inside and given and inside != given:
        raise InvalidArgumentError("The timestamp holds another repeater.", field="repeater")
    moment = datetime.combine(day, start or time())
    return Stamp(moment, start is not None, end, _repeater(inside or given, start), found["warning"] or "")


def day_name(day: date) -> str:
    """As org writes it, whatever the locale."""
    return _DAYS[day.weekday()]


def read_stamp(text: str) -> Stamp | None:
    """A timestamp as it stands in a file; None when it is not one that can be understood."""
    try:
        return stamp_of(text, field="")
    except InvalidArgumentError:
        return None


def _day(text: str, named: str, field: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidArgumentError(f"There is no day {text}.", field=field) from error
    name = named.rstrip(".").capitalize()[:3]
    # A wrong name says that one of the two is not meant: which, only who asked knows.
    if name in _DAYS and name != _DAYS[day.weekday()]:
        raise InvalidArgumentError(
            f"{text} is a {_DAYS[day.weekday()]}, not a {name}: which day is meant?", field=field
        )
    return day


def _time(text: str | None, field: str) -> time | None:
    if text is None:
        return None
    try:
        return time.fromisoformat(text.zfill(5))
    except ValueError as error:
        raise InvalidArgumentError(f"There is no time {text}.", field=field) from error


def _repeater(text: str, start: time | None) -> str:
    if not text:
        return ""
    found = _REPEATER.fullmatch(text)
    if found is None:
        raise InvalidArgumentError("A repeater is written as +1w, ++1w or .+1w.", field="repeater")
    if found["unit"] == "h" and start is None:
        raise InvalidArgumentError("A repeater in hours needs a time of the day.", field="repeater")
    return text


def _later(start: datetime, number: int, unit: str) -> datetime:
    try:
        if unit in _HOURS:
            return start + timedelta(hours=_HOURS[unit] * number)
        years, month = divmod(start.month - 1 + _MONTHS[unit] * number, 12)
        year = start.year + years
        last = calendar.monthrange(year, month + 1)[1]
        return start.replace(year=year, month=month + 1, day=min(start.day, last))
    except (OverflowError, ValueError, calendar.IllegalMonthError) as error:
        raise InvalidArgumentError("The next time would be after the year 9999.") from error


def _steps(start: datetime, now: datetime, number: int, unit: str) -> int:
    # Close below what is needed, so that an hourly repeater of ten years ago does not count every hour.
    if unit in _HOURS:
        return int((now - start) / timedelta(hours=_HOURS[unit] * number))
    months = (now.year - start.year) * 12 + now.month - start.month
    return months // (_MONTHS[unit] * number)
