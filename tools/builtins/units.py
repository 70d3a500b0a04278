"""Conversion of units, by pint.

Its own reader of units also calculates: `m**9**9**9` keeps it busy for ever. So units are read here, and pint
only ever sees one name at a time.
"""

import asyncio
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pint import UnitRegistry

LONGEST = 60
_MOST_FACTORS = 8
_FACTOR = re.compile(r"\s*([*/]?)\s*([^\W\d_][^\W\d]*|[\u00b0%][A-Za-z]?)\s*(?:(?:\^|\*\*)\s*(-?\d{1,2}))?")


class ConversionError(ValueError):
    """The value cannot be converted; the message tells the model why."""


class Units:
    """Converts values; reads pint's definitions with the first one."""

    def __init__(self) -> None:
        self._registry: UnitRegistry[Any] | None = None
        self._reading = asyncio.Lock()

    async def converted(self, value: float, unit: str, into: str) -> str:
        """The value in the other unit, with its name.

        Raises:
            ConversionError: A unit is not known, or the two do not measure the same.
        """
        async with self._reading:
            if self._registry is None:
                # A third of a second of reading, which nobody's stream is to wait for.
                self._registry = await asyncio.to_thread(_registry)
        return _converted(self._registry, value, unit, into)


def _registry() -> "UnitRegistry[Any]":
    from pint import UnitRegistry  # a third of a second more, at the start of every process

    return UnitRegistry()


def _converted(registry: "UnitRegistry[Any]", value: float, unit: str, into: str) -> str:
    from pint import DimensionalityError, OffsetUnitCalculusError

    source, target = _unit(registry, unit), _unit(registry, into)
    try:
        result = registry.Quantity(value, source).to(target)
    except (DimensionalityError, OffsetUnitCalculusError) as error:
        raise ConversionError(f"{unit} cannot be converted into {into}.") from error
    except (OverflowError, ZeroDivisionError) as error:
        raise ConversionError("The result is too large.") from error
    if not math.isfinite(result.magnitude):
        raise ConversionError("The result is too large.")
    return f"{result.magnitude:.12g} {into.strip()}"


def _unit(registry: "UnitRegistry[Any]", text: str) -> Any:  # noqa: ANN401 - pint's units have no type of their own
    from pint import UndefinedUnitError

    factors = _factors(text)
    unit = registry.Unit("dimensionless")
    for operator, name, exponent in factors:
        try:
            factor = (
                registry.Unit(name)
                if len(factors) == 1 and exponent == 1
                else registry.Unit(name) ** exponent
            )
        except (UndefinedUnitError, AttributeError) as error:
            raise ConversionError(f"The unit {name!r} is not known.") from error
        unit = unit / factor if operator == "/" else unit * factor
    return unit


def _factors(text: str) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    place, written = 0, text.strip()
    while place < len(written):
        match = _FACTOR.match(written, place)
        if match is None or len(found) == _MOST_FACTORS:
            raise ConversionError(f"Cannot read the unit {text!r}; write it as km/h or kg*m^2.")
        found.append((match[1], match[2], int(match[3] or 1)))
        place = match.end()
    if not found:
        raise ConversionError("A unit is missing.")
    return found
