"""The few tools that need no backend. All of them only read, reach nothing, and answer at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from state.models import Owner
from tools.arguments import ArgumentError, fitting
from tools.base import Arguments, Progress, Tool, ToolContext, ToolOutcome
from tools.builtins.calculator import LONGEST as LONGEST_EXPRESSION
from tools.builtins.calculator import NAMES, CalculationError, calculated
from tools.builtins.clock import Now, UnknownZoneError, time_in, utc_now
from tools.builtins.plan import DESCRIPTION, STEPS, noted
from tools.builtins.units import LONGEST as LONGEST_UNIT
from tools.builtins.units import ConversionError, Units
from tools.results import answered, failed

_UNIT = {"type": "string", "minLength": 1, "maxLength": LONGEST_UNIT}


def _tool(name: str, description: str, properties: Mapping[str, Any], required: Sequence[str]) -> Tool:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    return Tool(name, description, parameters, "calculation", read_only=True, timeout_seconds=5.0)


CALCULATOR = _tool(
    "calculator",
    f"Calculate exactly. Use it for all arithmetic. Known: + - * / // % ^ ( ), {', '.join(NAMES)}.",
    {
        "expression": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_EXPRESSION,
            "description": "As (3 + 4) * sqrt(2)",
        }
    },
    ["expression"],
)
CONVERT_UNITS = _tool(
    "convert_units",
    "Convert a value into another unit of the same kind: lengths, masses, temperatures, speeds, bytes, ...",
    {
        "value": {"type": "number", "minimum": -1e15, "maximum": 1e15},
        "from_unit": {**_UNIT, "description": "As km/h, kg*m^2 or degC"},
        "to_unit": _UNIT,
    },
    ["value", "from_unit", "to_unit"],
)
CURRENT_TIME = _tool(
    "current_time",
    "Get the date, the day of the week and the time now. Use it whenever an answer depends on today.",
    {
        "time_zone": {
            "type": "string",
            "minLength": 1,
            "maxLength": 60,
            "description": "As Europe/Berlin; leave it out for the person's own.",
        }
    },
    [],
)

UPDATE_PLAN = _tool("update_plan", DESCRIPTION, {"steps": STEPS}, ["steps"])
"""Its calls are shown as plans, not as calls."""


@dataclass(frozen=True, slots=True)
class _Builtin:
    tool: Tool
    answer: Callable[[Arguments, ToolContext], Awaitable[str]]


class Builtins:
    """A source of `calculator`, `convert_units`, `current_time` and `update_plan`, the same for everybody."""

    def __init__(self, *, now: Now = utc_now) -> None:
        self._now = now
        self._units = Units()
        known = (
            _Builtin(CALCULATOR, self._calculate),
            _Builtin(CONVERT_UNITS, self._convert),
            _Builtin(CURRENT_TIME, self._time),
            _Builtin(UPDATE_PLAN, self._plan),
        )
        self._builtins = {one.tool.name: one for one in known}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._builtins)

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        return [one.tool for one in self._builtins.values()]

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        builtin = self._builtins.get(tool.name)
        if builtin is None:
            return failed("TOOL_OFF", "This tool is off. Go on without it.")
        try:
            fitting(builtin.tool, arguments)
            text = await builtin.answer(arguments, context)
        except (ArgumentError, CalculationError, ConversionError, UnknownZoneError) as error:
            return failed("INVALID_ARGUMENTS", str(error))
        return answered(builtin.tool, text, summary="done")

    async def _calculate(self, arguments: Arguments, context: ToolContext) -> str:
        return calculated(arguments["expression"])

    async def _convert(self, arguments: Arguments, context: ToolContext) -> str:
        return await self._units.converted(arguments["value"], arguments["from_unit"], arguments["to_unit"])

    async def _time(self, arguments: Arguments, context: ToolContext) -> str:
        if zone := arguments.get("time_zone", ""):
            return time_in(zone, self._now)
        with suppress(UnknownZoneError):  # what a caller says of its user nobody has checked
            return time_in(context.time_zone or "UTC", self._now)
        return time_in("UTC", self._now)

    async def _plan(self, arguments: Arguments, context: ToolContext) -> str:
        return noted(arguments["steps"])
