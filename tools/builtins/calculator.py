"""Arithmetic as a model writes it, read by a parser of our own: nothing is ever executed.

expression: term (+ or - term)*; term: factor (* / // % factor)*; factor: - factor, or power; power: atom
(^ or ** factor)?; atom: number, constant, name(expression, ...), or (expression).
"""

import math
import re
from collections.abc import Callable, Mapping
from decimal import (
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)

LONGEST = 500
_DEEPEST = 50
_DIGITS = 50
_CONTEXT = Context(prec=_DIGITS, Emax=9999, Emin=-9999, traps=[DivisionByZero, InvalidOperation, Overflow])
_LARGEST_FACTORIAL = 1000

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d{1,4})?|\.\d+)|([A-Za-z_]\w*)|(\*\*|//|[-+*/%^(),]))")
_CONSTANTS = {
    "pi": Decimal("3.14159265358979323846264338327950288419716939937511"),
    "e": Decimal("2.71828182845904523536028747135266249775724709369996"),
}


class CalculationError(ValueError):
    """The expression cannot be calculated; the message tells the model why."""


def calculated(expression: str) -> str:
    """The value of an expression, to 50 digits.

    Raises:
        CalculationError: It is none, or has no value, or one that is too large.
    """
    if len(expression) > LONGEST:
        raise CalculationError(f"The expression is longer than {LONGEST} characters.")
    with localcontext(_CONTEXT):
        try:
            return _written(_Parser(_tokens(expression)).whole())
        except (DivisionByZero, ZeroDivisionError) as error:
            raise CalculationError("Division by zero.") from error
        except Overflow as error:
            raise CalculationError("The result is too large.") from error
        except (DecimalException, ValueError, OverflowError) as error:
            if isinstance(error, CalculationError):
                raise
            raise CalculationError("This has no value.") from error


def _tokens(expression: str) -> list[str]:
    found, place, text = [], 0, expression.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise CalculationError(f"Cannot read the expression at character {place + 1}.")
        found.append(match[0].strip())
        place = match.end()
    return found


def _written(value: Decimal) -> str:
    if not value.is_finite():
        raise CalculationError("This has no value.")
    if value == value.to_integral_value() and abs(value) < Decimal(10) ** _DIGITS:
        return str(int(value))
    return f"{value.normalize():g}" if abs(value) < Decimal(10) ** _DIGITS else str(value.normalize())


def _by_float(function: Callable[[float], float]) -> Callable[..., Decimal]:
    return lambda value: Decimal(repr(function(float(value))))


def _log(value: Decimal, base: Decimal | None = None) -> Decimal:
    return value.ln() if base is None else value.ln() / base.ln()


def _factorial(value: Decimal) -> Decimal:
    if value != value.to_integral_value() or not 0 <= value <= _LARGEST_FACTORIAL:
        raise CalculationError(f"factorial takes whole numbers from 0 to {_LARGEST_FACTORIAL}.")
    return _CONTEXT.create_decimal(math.factorial(int(value)))


def _round(value: Decimal, digits: Decimal = Decimal(0)) -> Decimal:
    if digits != digits.to_integral_value() or abs(digits) > _DIGITS:
        raise CalculationError(f"round takes at most {_DIGITS} digits.")
    return value.quantize(Decimal(1).scaleb(-int(digits)), "ROUND_HALF_UP")


_FUNCTIONS: Mapping[str, Callable[..., Decimal]] = {
    "abs": abs,
    "sqrt": Decimal.sqrt,
    "exp": Decimal.exp,
    "ln": Decimal.ln,
    "log": _log,
    "log10": Decimal.log10,
    "round": _round,
    "floor": lambda value: value.to_integral_value("ROUND_FLOOR"),
    "ceil": lambda value: value.to_integral_value("ROUND_CEILING"),
    "min": min,
    "max": max,
    "factorial": _factorial,
    "sin": _by_float(math.sin),
    "cos": _by_float(math.cos),
    "tan": _by_float(math.tan),
    "asin": _by_float(math.asin),
    "acos": _by_float(math.acos),
    "atan": _by_float(math.atan),
    "radians": lambda value: value * _CONSTANTS["pi"] / 180,
    "degrees": lambda value: value * 180 / _CONSTANTS["pi"],
}

NAMES = sorted([*_FUNCTIONS, *_CONSTANTS])
"""What an expression may name."""

_OPERATORS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: (a / b).to_integral_value("ROUND_FLOOR"),
    "%": lambda a, b: a - b * (a / b).to_integral_value("ROUND_FLOOR"),
}


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def whole(self) -> Decimal:
        value = self._sum()
        if self._place < len(self._tokens):
            raise CalculationError(f"Cannot read the expression at {self._tokens[self._place]!r}.")
        return value

    def _taken(self, *wanted: str) -> str:
        if self._place < len(self._tokens) and self._tokens[self._place] in wanted:
            self._place += 1
            return self._tokens[self._place - 1]
        return ""

    def _sum(self) -> Decimal:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CalculationError("The expression is nested too deeply.")
        value = self._product()
        while operator := self._taken("+", "-"):
            value = _OPERATORS[operator](value, self._product())
        self._depth -= 1
        return value

    def _product(self) -> Decimal:
        value = self._factor()
        while operator := self._taken("*", "/", "//", "%"):
            value = _OPERATORS[operator](value, self._factor())
        return value

    def _factor(self) -> Decimal:
        sign = 1
        while operator := self._taken("-", "+"):
            sign = -sign if operator == "-" else sign
        return self._power() * sign

    def _power(self) -> Decimal:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CalculationError("The expression is nested too deeply.")
        base = self._atom()
        if self._taken("^", "**"):
            base = base ** self._factor()
        self._depth -= 1
        return base

    def _atom(self) -> Decimal:
        if self._place >= len(self._tokens):
            raise CalculationError("The expression ends too early.")
        token = self._tokens[self._place]
        self._place += 1
        if token == "(":
            value = self._sum()
            self._closed()
            return value
        if token[0].isdigit() or token[0] == ".":
            return Decimal(token)
        if not token[0].isidentifier():
            raise CalculationError(f"A value is missing before {token!r}.")
        return self._named(token)

    def _named(self, name: str) -> Decimal:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        function = _FUNCTIONS.get(name)
        if function is None:
            raise CalculationError(f"{name!r} is not known here; known are {', '.join(NAMES)}.")
        if not self._taken("("):
            raise CalculationError(f"{name} needs its value in parentheses.")
        values = [self._sum()]
        while self._taken(","):
            values.append(self._sum())
        self._closed()
        try:
            return function(*values)
        except TypeError as error:
            raise CalculationError(f"{name} does not take {len(values)} values.") from error

    def _closed(self) -> None:
        if not self._taken(")"):
            raise CalculationError("A parenthesis is not closed.")
