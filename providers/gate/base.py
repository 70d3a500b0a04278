"""What stands between a model and those who want to call it: one gate for each model of each provider."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from providers.base import CallAccepted, TokenCount
from providers.breaker import Ticket
from state.errors import ProviderError


class GateState(StrEnum):
    """Saturated is not down: a saturated provider works, and has no room now."""

    AVAILABLE = "available"
    SATURATED = "saturated"
    UNAVAILABLE = "unavailable"
    PROBING = "probing"


class SaturatedBy(StrEnum):
    """Which limit there is no room under."""

    CONCURRENCY = "concurrency"
    REQUESTS = "requests"
    TOKENS = "tokens"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class Saturated:
    """No room now. `retry_after`: seconds until there may be, None when only the end of a call can tell."""

    by: SaturatedBy
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The provider is down. `retry_after`: seconds until the next probe may be made."""

    retry_after: float


class Permit(Protocol):
    """The right to make one call. Exactly one of the last three is called, whatever happens."""

    def expects(self, tokens: int) -> None:
        """The call is about to be made, and may need so many tokens, not what it was admitted with."""
        ...

    def accepted(self, call: CallAccepted) -> None:
        """The provider has taken the call."""
        ...

    def first_token(self) -> None:
        """The answer has begun."""
        ...

    def succeeded(self, tokens: TokenCount | None) -> None: ...

    def failed(self, error: ProviderError) -> None:
        """The call failed; the kind of error decides what that means for the provider."""
        ...

    def abandoned(self) -> None:
        """Nobody wants the answer any more: that says nothing about the provider."""
        ...


@dataclass(frozen=True, slots=True)
class GateSnapshot:
    """How a gate stands. `latency_p50`: seconds to the first token, None when nothing was measured lately.

    `refusals`: how often no permit was given since the gate was made, by a `SaturatedBy` or `down`.
    """

    provider: str
    model: str
    state: GateState
    in_flight: int
    concurrency_limit: int
    retry_after: float | None
    error_rate: float
    latency_p50: float | None
    refusals: Mapping[str, int] = field(default_factory=dict)


class Gate(Protocol):
    """Answers from memory, in microseconds, and never calls the provider."""

    def admit(self, expected_tokens: int = 0) -> Permit | Saturated | Unavailable:
        """A permit when the model may be called now. `expected_tokens` are taken from the token budget."""
        ...

    def snapshot(self) -> GateSnapshot: ...

    def set_share(self, replicas: int) -> None:
        """Divide the limits by the number of processes that live, this one among them."""
        ...

    def on_room(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever there may be room again; returns what ends that."""
        ...

    def close(self) -> None:
        """Nobody is told of room any more; permits that were given may still end."""
        ...

    @property
    def may_probe(self) -> bool:
        """Whether the next call would be the one that finds out if the provider is back."""
        ...

    def probed_by(self, prober: Callable[[], None] | None) -> None:
        """Call `prober` before a call is admitted that would be the probe, so that it takes the ticket."""
        ...

    def probe_ticket(self) -> Ticket | None:
        """The right to find out whether the provider is back, without a call of the model; None: not now."""
        ...

    def probed(self, ticket: Ticket, *, reached: bool) -> None:
        """Whether the provider was reached. That is not working: the breaker closes on a real call only."""
        ...
