"""What is known of each method of the backend: whether it answers, and whether it is there at all."""

import random
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from providers.breaker import Breaker, BreakerSettings, Ticket
from providers.window import Chance, Clock
from tools.gateway.failures import OFF, REFUSED_FOR_NOW, Blame, CallFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Methods:
    """A breaker for each method, and those that are off because the backend does not implement them."""

    def __init__(
        self,
        breaker: BreakerSettings,
        *,
        off_seconds: float,
        clock: Clock = time.monotonic,
        chance: Chance = random.random,
    ) -> None:
        self._settings = breaker
        self._off_seconds = off_seconds
        self._clock = clock
        self._chance = chance
        self._breakers: dict[str, Breaker] = {}
        self._off_until: dict[str, float] = {}

    def is_off(self, method: str) -> bool:
        return self._clock() < self._off_until.get(method, 0.0)

    @contextmanager
    def attempt(self, method: str) -> "Iterator[None]":
        """Make one call inside the block, which raises when the call fails; that counts here.

        Raises:
            CallFailedError: The method is off, or its breaker is open.
        """
        if self.is_off(method):
            raise CallFailedError(OFF)
        breaker = self._breaker(method)
        ticket = breaker.admit()
        if ticket is None:
            raise CallFailedError(REFUSED_FOR_NOW)
        tell: Callable[[Ticket], None] = breaker.give_back  # cancelled: nothing is known
        try:
            yield
            tell = breaker.succeeded
        except CallFailedError as error:
            if error.failure is OFF:
                self._off_until[method] = self._clock() + self._off_seconds
            match error.failure.blame:
                case Blame.BACKEND:
                    tell = breaker.failed
                case Blame.CALL:
                    tell = breaker.succeeded
                case Blame.NOBODY:
                    pass
            raise
        finally:
            tell(ticket)

    def _breaker(self, method: str) -> Breaker:
        if method not in self._breakers:
            self._breakers[method] = Breaker(
                self._settings, name=method, clock=self._clock, chance=self._chance
            )
        return self._breakers[method]
