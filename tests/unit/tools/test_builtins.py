"""The tools that need no backend: what they answer, and that nothing makes them work without end."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.tools import ANN, Told, context
from tools.base import ToolOutcome
from tools.builtins.calculator import CalculationError, calculated
from tools.builtins.source import Builtins
from tools.policy import PolicyContext, Verdict, verdict

NOW = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


async def answer(name: str, **arguments: Any) -> ToolOutcome:
    builtins = Builtins(now=lambda: NOW)
    tool = next(tool for tool in await builtins.offered(ANN) if tool.name == name)
    return await builtins.call(tool, arguments, context(), Told())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^-1", "0.5"),
        ("2^3^2", "512"),
        ("2 ** 10", "1024"),
        ("0.1 + 0.2", "0.3"),
        ("7 / 2", "3.5"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("123456789012345678901234567890 * 10 + 1", "1234567890123456789012345678901"),
        ("round(2.345, 2)", "2.35"),
        ("round(2.5)", "3"),
        ("sqrt(16) + abs(-1)", "5"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("factorial(20)", "2432902008176640000"),
        ("floor(-1.5) + ceil(1.2)", "0"),
        ("log(8, 2)", "3"),
        ("log10(1000)", "3"),
        ("sin(radians(90))", "1"),
        ("round(pi, 4)", "3.1416"),
        ("1.5e3", "1500"),
    ],
)
async def test_the_calculator_calculates(expression: str, value: str) -> None:
    assert await answer("calculator", expression=expression) == ToolOutcome(True, value, "done")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "do not fit"),
        ("1 / 0", "Division by zero"),
        ("5 % 0", "Division by zero"),
        ("0 / 0", "no value"),
        ("log(0)", "no value"),
        ("sqrt(-1)", "no value"),
        ("asin(2)", "no value"),
        ("1 +", "ends too early"),
        ("(1", "not closed"),
        ("abs()", "A value is missing"),
        ("abs(1, 2)", "does not take 2 values"),
        ("5 5", "Cannot read"),
        ("__import__('os').system('true')", "Cannot read"),
        ("open", "not known here"),
        ("e.real", "Cannot read"),
        ("9^9^9^9", "too large"),
        ("exp(1e9)", "too large"),
        ("1.0000001 ^ 1e30", "too large"),
        ("factorial(1001)", "from 0 to 1000"),
        ("factorial(1e9)", "from 0 to 1000"),
        ("factorial(2.5)", "from 0 to 1000"),
        ("round(1, 1e9)", "at most 50"),
        ("(" * 200 + "1" + ")" * 200, "too deeply"),
        ("2^" * 200 + "2", "too deeply"),
        ("1" * 501, "do not fit"),
    ],
)
async def test_the_calculator_tells_what_is_wrong(expression: str, told: str) -> None:
    outcome = await answer("calculator", expression=expression)
    assert (outcome.ok, outcome.reason) == (False, "INVALID_ARGUMENTS")
    assert told in outcome.text


@settings(deadline=None)
@given(st.text("0123456789.+-*/%^(), eEpisqrtabclog", max_size=60) | st.text(max_size=40))
def test_whatever_is_calculated_has_a_value_or_is_refused(expression: str) -> None:
    try:
        value = calculated(expression)
    except CalculationError:
        return  # and nothing else
    assert Decimal(value).is_finite()


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_whole_numbers_are_calculated_as_python_does(a: int, b: int, c: int) -> None:
    assert calculated(f"({a}) * ({b}) + {c}") == str(a * b + c)
    assert calculated(f"({a}) // {c}") == str(a // c)
    assert calculated(f"({a}) % {c}") == str(a % c)


@pytest.mark.parametrize(
    ("value", "units", "text"),
    [
        (100, ("degC", "degF"), "212 degF"),
        (36, ("km/h", "m/s"), "10 m/s"),
        (1, ("mile", "km"), "1.609344 km"),
        (1, ("kg*m^2/s^2", "joule"), "1 joule"),
        (1, ("GiB", "MB"), "1073.741824 MB"),
        (1, ("nautical_mile", "m"), "1852 m"),
        (90, ("min", "hour"), "1.5 hour"),
    ],
)
async def test_units_are_converted(value: float, units: tuple[str, str], text: str) -> None:
    outcome = await answer("convert_units", value=value, from_unit=units[0], to_unit=units[1])
    assert outcome == ToolOutcome(True, text, "done")


@pytest.mark.parametrize(
    ("value", "units", "told"),
    [
        (1, ("m", "s"), "cannot be converted"),
        (1, ("USD", "EUR"), "not known"),
        (1, ("m**9**9**9", "m"), "Cannot read"),
        (1, ("m^999999999", "m"), "Cannot read"),
        (1, ("2*m", "m"), "Cannot read"),
        (1, ("__import__", "m"), "Cannot read"),
        (1, ("degC*m", "K*m"), "cannot be converted"),
        (1, (" ", "m"), "missing"),
        (1, ("*".join(["m"] * 9), "m"), "Cannot read"),
        (1e15, ("km^99", "nm^99"), "too large"),
        (1, ("m" * 61, "m"), "too long"),
    ],
)
async def test_what_cannot_be_converted_is_told(value: float, units: tuple[str, str], told: str) -> None:
    outcome = await answer("convert_units", value=value, from_unit=units[0], to_unit=units[1])
    assert (outcome.ok, outcome.reason) == (False, "INVALID_ARGUMENTS")
    assert told in outcome.text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (None, "Wednesday, 2026-07-01 12:30:00 UTC (UTC+0000), 2026-07-01T12:30:00+00:00"),
        ("Europe/Berlin", "Wednesday, 2026-07-01 14:30:00 CEST (UTC+0200), 2026-07-01T14:30:00+02:00"),
        ("Asia/Kolkata", "Wednesday, 2026-07-01 18:00:00 IST (UTC+0530), 2026-07-01T18:00:00+05:30"),
    ],
)
async def test_the_time_is_told_anywhere(zone: str | None, text: str) -> None:
    outcome = await (answer("current_time") if zone is None else answer("current_time", time_zone=zone))
    assert outcome.text == text


@pytest.mark.parametrize("zone", ["Mars/Base", "America", "../../etc/passwd", "/etc/passwd", "a\x00b", "."])
async def test_a_zone_that_is_none_is_told(zone: str) -> None:
    outcome = await answer("current_time", time_zone=zone)
    assert (outcome.ok, outcome.reason) == (False, "INVALID_ARGUMENTS")
    assert "is not known" in outcome.text


async def test_no_builtin_tool_asks_anybody_and_none_taints_a_run() -> None:
    for tool in await Builtins().offered(ANN):
        assert verdict(tool, PolicyContext(tainted=True)) is Verdict.ALLOW
        assert not tool.open_world
