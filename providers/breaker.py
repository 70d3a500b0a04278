"""A circuit breaker for calls that are awaited, on top of pybreaker's state machine.

pybreaker guards synchronous calls only: its decorator sees a coroutine function succeed before the coroutine
runs, and `calling()` counts a cancelled call as a failure. So admission is asked first and the outcome told
afterwards; pybreaker then counts it as if the call were made at that moment. Its own clock, the wall's, is
never asked.
"""

import random
import time
from contextlib import suppress
from dataclasses import dataclass

import pybreaker

from providers.window import Chance, Clock, SlidingCounts


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and for how long.

    It opens after `consecutive_failures`, or when of at least `window_calls` in the last `window_seconds` the
    share `failure_ratio` failed. Then it stays open for `reset_seconds`, after each failed probe
    `reset_growth` times as long, up to `reset_cap_seconds`; a random part of that, at most `reset_jitter` of
    it, is taken off.
    """

    consecutive_failures: int = 5
    failure_ratio: float = 0.5
    window_calls: int = 20
    window_seconds: float = 30.0
    reset_seconds: float = 2.0
    reset_growth: float = 2.0
    reset_cap_seconds: float = 60.0
    reset_jitter: float = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted call. `probe`: the one that finds out whether an open breaker may close."""

    probe: bool


class _CallFailed(Exception):  # noqa: N818  # carried through pybreaker, never raised to anybody
    pass


class Breaker:
    """Refuses calls after failures and lets one probe through at a time, in this process.

    For every ticket exactly one of `succeeded`, `failed` and `give_back` is to be called. Outcomes of calls
    that were admitted before the last change of state say nothing about the present one and count as nothing.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        name: str = "",
        clock: Clock = time.monotonic,
        chance: Chance = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._machine = pybreaker.CircuitBreaker(
            fail_max=settings.consecutive_failures, name=name, throw_new_error_on_trip=False
        )
        self._counts = SlidingCounts(settings.window_seconds, clock)
        self._closed = Ticket(probe=False)
        self._probe: Ticket | None = None
        self._reset_seconds = settings.reset_seconds
        self._open_until = 0.0

    @property
    def closed(self) -> bool:
        return self._machine.current_state == pybreaker.STATE_CLOSED

    @property
    def probing(self) -> bool:
        """Whether a probe is under way or may be made now."""
        return not self.closed and (self._probe is not None or self.wait() == 0.0)

    @property
    def probe_under_way(self) -> bool:
        return self._probe is not None

    def wait(self) -> float:
        """Seconds until a call may be made, 0 when one may now; an estimate while a probe is under way."""
        if self.closed:
            return 0.0
        if self._probe is not None:
            return self._settings.reset_seconds
        return max(0.0, self._open_until - self._clock())

    def admit(self) -> Ticket | None:
        """The right to make one call, or None: ask again in `wait()` seconds."""
        if self.closed:
            return self._closed
        if self.wait() > 0.0:
            return None
        self._machine.half_open()
        self._probe = Ticket(probe=True)
        return self._probe

    def succeeded(self, ticket: Ticket) -> None:
        if not self._counts_now(ticket):
            return
        self._counts.add(failed=False)
        self._machine.call(_succeed)
        if ticket.probe:
            self._probe = None
            self._closed = Ticket(probe=False)
            self._reset_seconds = self._settings.reset_seconds
            self._counts.clear()

    def failed(self, ticket: Ticket, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds for which the other side asked to be left alone; kept up to the cap."""
        if not self._counts_now(ticket):
            return
        self._counts.add(failed=True)
        with suppress(_CallFailed):
            self._machine.call(_fail)
        if self.closed and self._fails_too_often():
            self._machine.open()
        if not self.closed:
            self._opened(retry_after or 0.0)

    def give_back(self, ticket: Ticket) -> None:
        """The call says nothing about the other side: it was cancelled, or was wrong in itself."""
        if ticket is self._probe:
            self._probe = None

    def _counts_now(self, ticket: Ticket) -> bool:
        return ticket is (self._closed if self.closed else self._probe)

    def _fails_too_often(self) -> bool:
        succeeded, failed = self._counts.totals()
        calls = succeeded + failed
        return calls >= self._settings.window_calls and failed >= self._settings.failure_ratio * calls

    def _opened(self, retry_after: float) -> None:
        settings = self._settings
        self._probe = None
        # Taken off, not added: the cap is a promise. Replicas that failed together probe apart.
        wait = self._reset_seconds * (1.0 - settings.reset_jitter * self._chance())
        wait = max(wait, min(retry_after, settings.reset_cap_seconds))
        self._open_until = self._clock() + wait
        self._reset_seconds = min(settings.reset_cap_seconds, self._reset_seconds * settings.reset_growth)


def _succeed() -> None:
    pass


def _fail() -> None:
    raise _CallFailed
