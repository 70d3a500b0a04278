"""The caller's breaker: while the orchestrator is dead, one call at a time finds out whether it is back."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Opens after `consecutive_failures`, for `reset_seconds`; each failed probe makes that `reset_growth`
    times as long, up to `reset_cap_seconds`. A random part of it, at most `reset_jitter`, is taken off.
    """

    consecutive_failures: int = 1
    reset_seconds: float = 1.0
    reset_growth: float = 2.0
    reset_cap_seconds: float = 15.0
    reset_jitter: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted call. `probe`: the one that finds out whether an open breaker may close."""

    probe: bool


class CallerBreaker:
    """For every ticket exactly one of `succeeded`, `failed` and `give_back` is to be called.

    Outcomes of calls that were admitted before the last change of state count as nothing.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._closed: Ticket | None = Ticket(probe=False)
        self._probe: Ticket | None = None
        self._failures = 0
        self._reset_seconds = settings.reset_seconds
        self._open_until = 0.0

    @property
    def closed(self) -> bool:
        return self._closed is not None

    def admit(self) -> Ticket | None:
        """The right to make one call, or None."""
        if self._closed is not None:
            return self._closed
        if self._probe is not None or self._clock() < self._open_until:
            return None
        self._probe = Ticket(probe=True)
        return self._probe

    def succeeded(self, ticket: Ticket) -> None:
        """The orchestrator answered, be it with an error of its own."""
        if ticket is self._closed:
            self._failures = 0
        elif ticket is self._probe:
            self._probe, self._closed = None, Ticket(probe=False)
            self._failures, self._reset_seconds = 0, self._settings.reset_seconds

    def failed(self, ticket: Ticket) -> None:
        """It did not answer."""
        if ticket is self._closed:
            self._failures += 1
            if self._failures >= self._settings.consecutive_failures:
                self._open()
        elif ticket is self._probe:
            self._open()

    def give_back(self, ticket: Ticket) -> None:
        """The call says nothing about the orchestrator: its caller left."""
        if ticket is self._probe:
            self._probe = None

    def _open(self) -> None:
        settings = self._settings
        self._closed = self._probe = None
        # Taken off, not added: the cap is a promise. Processes that failed together probe apart.
        wait = self._reset_seconds * (1.0 - settings.reset_jitter * self._chance())
        self._open_until = self._clock() + wait
        self._reset_seconds = min(settings.reset_cap_seconds, self._reset_seconds * settings.reset_growth)
