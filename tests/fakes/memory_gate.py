"""A small real gate, in memory, that remembers how each of its permits ended."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from providers.base import CallAccepted, TokenCount
from providers.breaker import Ticket
from providers.file.endpoints import Endpoint
from providers.gate.base import GateSnapshot, GateState, Permit, Saturated, SaturatedBy, Unavailable
from state.errors import ProviderError, ProviderUnavailableError


@dataclass
class MemoryPermit:
    """Fails the test, at `MemoryGate.check`, that does not end it exactly once."""

    gate: "MemoryGate"
    expected: int | None = None
    events: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def expects(self, tokens: int) -> None:
        self.expected = tokens

    def accepted(self, call: CallAccepted) -> None:
        self.events.append("accepted")

    def first_token(self) -> None:
        self.events.append("first_token")

    def succeeded(self, tokens: TokenCount | None) -> None:
        self.gate.failures = 0
        self._end("succeeded")

    def failed(self, error: ProviderError) -> None:
        if isinstance(error, ProviderUnavailableError):
            self.gate.failures += 1
        self._end("failed")

    def abandoned(self) -> None:
        self._end("abandoned")

    def _end(self, how: str) -> None:
        self.ends.append(how)
        self.gate.ended()


class MemoryGate:
    """Opens for good after `failures_to_open` failures in a row; its minutes never end."""

    def __init__(self, endpoint: Endpoint, *, failures_to_open: int = 1_000_000) -> None:
        self.endpoint = endpoint
        self.failures = 0
        self.permits: list[MemoryPermit] = []
        self.asked: list[int] = []
        self.retry_after = 7.0
        self.closed = False
        self.refusal: Saturated | Unavailable | None = None
        self._failures_to_open = failures_to_open
        self._listeners: list[Callable[[], None]] = []

    @property
    def in_flight(self) -> int:
        return sum(not permit.ends for permit in self.permits)

    @property
    def ends(self) -> list[str]:
        return [end for permit in self.permits for end in permit.ends]

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def admit(self, expected_tokens: int = 0) -> Permit | Saturated | Unavailable:
        self.asked.append(expected_tokens)
        if (refusal := self._refusal()) is not None:
            return refusal
        permit = MemoryPermit(self)
        self.permits.append(permit)
        return permit

    def snapshot(self) -> GateSnapshot:
        match self._refusal():
            case Saturated() as full:
                state, retry_after = GateState.SATURATED, full.retry_after
            case Unavailable() as down:
                state, retry_after = GateState.UNAVAILABLE, down.retry_after
            case _:
                state, retry_after = GateState.AVAILABLE, None
        info, limits = self.endpoint.info, self.endpoint.limits
        return GateSnapshot(
            info.provider, info.model, state, self.in_flight, limits.max_concurrency, retry_after, 0.0, None
        )

    def set_share(self, replicas: int) -> None:
        self.replicas = replicas

    def on_room(self, listener: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return partial(self._forget, listener)

    def close(self) -> None:
        self.closed = True
        self._listeners.clear()

    @property
    def may_probe(self) -> bool:
        return False

    def probed_by(self, prober: Callable[[], None] | None) -> None:
        del prober

    def probe_ticket(self) -> Ticket | None:
        return None

    def probed(self, ticket: Ticket, *, reached: bool) -> None:
        raise AssertionError("it gives no tickets")

    def ended(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def _forget(self, listener: Callable[[], None]) -> None:
        if not self.closed:
            self._listeners.remove(listener)

    def check(self) -> None:
        """Every permit has ended, once."""
        assert [len(permit.ends) for permit in self.permits] == [1] * len(self.permits)

    def _refusal(self) -> Saturated | Unavailable | None:
        limits = self.endpoint.limits
        if self.refusal is not None:
            return self.refusal
        if self.failures >= self._failures_to_open:
            return Unavailable(self.retry_after)
        if self.in_flight >= limits.max_concurrency:
            return Saturated(SaturatedBy.CONCURRENCY)
        if limits.requests_per_minute is not None and len(self.permits) >= limits.requests_per_minute:
            return Saturated(SaturatedBy.REQUESTS, 60.0)
        if limits.tokens_per_minute is not None and sum(self.asked) > limits.tokens_per_minute:
            return Saturated(SaturatedBy.TOKENS, 60.0)
        return None
