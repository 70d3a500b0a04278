"""What one run may use of models, and what it has used."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from providers.base import ModelFinished, ModelInfo, ModelRequest, TokenCount
from providers.file.entries import Prices

_MILLION = 1_000_000
_LATE = 0.8
"""Of the time that a run has: what is left is for its last answer."""

_LAST_WORDS_TOKENS = 300
"""That an answer may take which says what was found, and what is missing."""


class Limit(StrEnum):
    """Which limit ended a run; the values are the names in RunLimits, as far as they stand there."""

    DURATION = "max_duration"
    OUTPUT_TOKENS = "max_output_tokens"
    TOTAL_TOKENS = "max_total_tokens"
    STEPS = "max_steps"
    TOOL_CALLS = "max_tool_calls"
    COST = "max_cost_micros"
    REPEATED_CHUNKS = "repeated_chunks"


class LimitReachedError(Exception):
    """The run may use no more: it is complete, with what it has. Not an error of the service.

    `finished` is set when the limit cut an answer short that is otherwise whole.
    """

    def __init__(self, limit: Limit, finished: ModelFinished | None = None) -> None:
        super().__init__(f"the run has reached its limit: {limit}")
        self.limit = limit
        self.finished = finished


@dataclass(frozen=True, slots=True)
class RunCaps:
    """None: no limit.

    `max_repeated_chunks`: a model that writes the same piece so often in a row will not stop by itself.
    """

    max_seconds: float | None = None
    max_output_tokens: int | None = None
    max_total_tokens: int | None = None
    max_steps: int | None = None
    max_tool_calls: int | None = None
    max_cost_micros: int | None = None
    max_repeated_chunks: int = 100

    def lowered(self, wish: "RunCaps") -> "RunCaps":
        """The lower of both, each cap for itself. How often a piece may be repeated is no wish."""
        return RunCaps(
            max_seconds=_lower(self.max_seconds, wish.max_seconds),
            max_output_tokens=_lower(self.max_output_tokens, wish.max_output_tokens),
            max_total_tokens=_lower(self.max_total_tokens, wish.max_total_tokens),
            max_steps=_lower(self.max_steps, wish.max_steps),
            max_tool_calls=_lower(self.max_tool_calls, wish.max_tool_calls),
            max_cost_micros=_lower(self.max_cost_micros, wish.max_cost_micros),
            max_repeated_chunks=self.max_repeated_chunks,
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has used so far, earlier attempts included. A step is one answer of a model."""

    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    steps: int = 0
    tool_calls: int = 0
    cost_micros: int = 0


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What one call used. `model` is the one that was asked for; `estimated`: the provider did not say.

    `beside`: it was made beside the answer, and is no step.
    """

    provider: str
    model: str
    tokens: TokenCount
    cost_micros: int
    estimated: bool
    beside: bool = False


_Cap = TypeVar("_Cap", int, float)


def _lower(one: _Cap | None, other: _Cap | None) -> _Cap | None:
    return min((cap for cap in (one, other) if cap is not None), default=None)


def _left(cap: int | None, spent: int) -> float:
    return math.inf if cap is None else cap - spent


@dataclass(frozen=True, slots=True)
class Allowance:
    """Most tokens that an answer may have, and the limit that this comes from."""

    output_tokens: float = math.inf
    limit: Limit | None = None


def cost_micros(prices: Prices, tokens: TokenCount) -> int:
    """Micro-units of the currency, rounded up."""
    cached = min(tokens.cached_input_tokens, tokens.input_tokens)
    cached_price = prices.input_micros if prices.cached_input_micros is None else prices.cached_input_micros
    millionths = (
        (tokens.input_tokens - cached) * prices.input_micros
        + cached * cached_price
        + tokens.output_tokens * prices.output_micros
    )
    return -(-millionths // _MILLION)


class CallBudget(Protocol):
    """What a call is made within: asked before it, told of its usage after it."""

    @property
    def max_repeated_chunks(self) -> int: ...
    @property
    def ends_at(self) -> float:
        """When the time is over, in the event loop's time."""
        ...

    def check(self) -> None:
        """Raises: LimitReachedError: No further call may be made."""
        ...

    def limited(
        self, request: ModelRequest, prompt_tokens: int, info: ModelInfo, prices: Prices
    ) -> tuple[ModelRequest, Limit | None]: ...
    def used(self, usage: CallUsage) -> None: ...


class RunBudget:
    """Is asked before each call of a model, and told of each call's usage. The time runs from its making."""

    def __init__(self, caps: RunCaps = RunCaps(), spent: Spent = Spent()) -> None:
        self._caps = caps
        self._spent = spent
        self._begin = asyncio.get_running_loop().time() - spent.seconds
        self.calls: list[CallUsage] = []

    @property
    def spent(self) -> Spent:
        return replace(self._spent, seconds=asyncio.get_running_loop().time() - self._begin)

    @property
    def max_repeated_chunks(self) -> int:
        return self._caps.max_repeated_chunks

    @property
    def ends_at(self) -> float:
        """When the time is over, in the event loop's time."""
        return self._begin + (math.inf if self._caps.max_seconds is None else self._caps.max_seconds)

    def lower(self, caps: RunCaps) -> None:
        """From now on the lower of both counts, each cap for itself."""
        self._caps = self._caps.lowered(caps)

    def check(self) -> None:
        """One more answer is wanted. It becomes a step once it is written: a wait for a provider is none.

        Raises:
            LimitReachedError: It may not be.
        """
        caps, spent = self._caps, self._spent
        if asyncio.get_running_loop().time() >= self.ends_at:
            raise LimitReachedError(Limit.DURATION)
        if caps.max_steps is not None and spent.steps >= caps.max_steps:
            raise LimitReachedError(Limit.STEPS)

    def near(self, prompt_tokens: Callable[[], int]) -> Limit | None:
        """The limit that leaves room for one more answer and no further one, if there is such a limit.

        `prompt_tokens` estimates what that answer is asked with; the one after it would read as much.
        """
        caps, spent = self._caps, self.spent
        if caps.max_steps is not None and spent.steps >= caps.max_steps - 1:
            return Limit.STEPS
        if caps.max_seconds is not None and spent.seconds >= _LATE * caps.max_seconds:
            return Limit.DURATION
        if _left(caps.max_output_tokens, spent.output_tokens) < 2 * _LAST_WORDS_TOKENS:
            return Limit.OUTPUT_TOKENS
        if caps.max_total_tokens is not None:
            left = caps.max_total_tokens - spent.input_tokens - spent.output_tokens
            if left < 2 * (prompt_tokens() + _LAST_WORDS_TOKENS):
                return Limit.TOTAL_TOKENS
        last = next((call for call in reversed(self.calls) if not call.beside), None)
        if last is not None and _left(caps.max_cost_micros, spent.cost_micros) < 2 * last.cost_micros:
            return Limit.COST
        return None

    def limited(
        self, request: ModelRequest, prompt_tokens: int, info: ModelInfo, prices: Prices
    ) -> tuple[ModelRequest, Limit | None]:
        """The request as this model may get it; and the limit that it will have met if its answer is cut.

        Raises:
            LimitReachedError: Nothing is left for an answer.
        """
        allowed = self._allowance(prompt_tokens, prices)
        if allowed.output_tokens >= info.context_tokens - prompt_tokens > 0:
            # No answer reaches it, and vendors refuse to be asked for more than a model writes.
            allowed = Allowance()
        if allowed.limit is not None and allowed.output_tokens < 1:
            raise LimitReachedError(allowed.limit)
        wishes = [n for n in (request.max_output_tokens, info.max_output_tokens) if n is not None]
        most = min([*wishes, allowed.output_tokens])
        tokens = None if math.isinf(most) else int(most)
        return replace(request, max_output_tokens=tokens), None if most in wishes else allowed.limit

    def used(self, usage: CallUsage) -> None:
        """One answer has ended, well or not."""
        self.calls.append(usage)
        spent, tokens = self._spent, usage.tokens
        self._spent = replace(
            spent,
            input_tokens=spent.input_tokens + tokens.input_tokens,
            output_tokens=spent.output_tokens + tokens.output_tokens,
            steps=spent.steps + (not usage.beside),
            cost_micros=spent.cost_micros + usage.cost_micros,
        )

    def tool_wanted(self) -> None:
        """A tool is about to be called: asked before each call, which counts from then on.

        Raises:
            LimitReachedError: It may not be.
        """
        most, made = self._caps.max_tool_calls, self._spent.tool_calls
        if most is not None and made >= most:
            raise LimitReachedError(Limit.TOOL_CALLS)
        self._spent = replace(self._spent, tool_calls=made + 1)

    def _allowance(self, prompt_tokens: int, prices: Prices) -> Allowance:
        caps, spent = self._caps, self._spent
        found = [Allowance()]
        if caps.max_output_tokens is not None:
            found.append(Allowance(caps.max_output_tokens - spent.output_tokens, Limit.OUTPUT_TOKENS))
        if caps.max_total_tokens is not None:
            left = caps.max_total_tokens - spent.input_tokens - spent.output_tokens
            found.append(Allowance(left - prompt_tokens, Limit.TOTAL_TOKENS))
        if caps.max_cost_micros is not None:
            found.append(Allowance(self._affordable(caps.max_cost_micros, prompt_tokens, prices), Limit.COST))
        return min(found, key=lambda allowance: allowance.output_tokens)

    def _affordable(self, most_micros: int, prompt_tokens: int, prices: Prices) -> float:
        prompt = cost_micros(prices, TokenCount(prompt_tokens, 0))
        left = most_micros - self._spent.cost_micros - prompt
        if left <= 0 and (prices.input_micros or prices.output_micros):
            return 0
        return left * _MILLION // prices.output_micros if prices.output_micros else math.inf
