"""Budgets per minute, of requests or of tokens: our own and the provider's."""

import math
from dataclasses import dataclass

from providers.window import Clock

_UNSAID_RESET_SECONDS = 1.0
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`per_minute`: None is unlimited. An unused budget is saved up for at most `burst_seconds`."""

    per_minute: float | None = None
    burst_seconds: float = 60.0


class Budget:
    """A token bucket that refills continuously, and what the provider last said is left.

    A call that needs more than the bucket holds is admitted when it is full, or it would wait for ever; what
    it takes too much is paid back before the next one. An unlimited budget still obeys what the provider
    says.
    """

    def __init__(self, settings: BudgetSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._replicas = 1
        self._rate = self._size = self._level = math.inf
        self._filled_at = clock()
        self._vendor_left = math.inf
        self._vendor_reset_at = -math.inf
        self._resize()
        self._level = self._size

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken, as far as is known; 0 when it may now."""
        now = self._clock()
        if self._vendor_left <= 0.0 and now < self._vendor_reset_at:
            return self._vendor_reset_at - now
        missing = min(amount, self._size) - self._refilled()
        return 0.0 if missing <= _ROUNDING else missing / self._rate

    def take(self, amount: float) -> None:
        """Ask `wait` first; what is taken nevertheless makes the next call wait."""
        self._level = self._refilled() - amount
        self._vendor_left -= amount

    def correct(self, taken: float, used: float) -> None:
        """What a call needed was `used`, not the `taken` it was admitted with."""
        self._level = min(self._size, self._refilled() + taken - used)

    def told(self, left: float, reset_seconds: float | None) -> None:
        """The provider says what is left for all replicas, and in how many seconds it is full again."""
        share = left / self._replicas
        self._vendor_left = max(1.0, share) if left >= 1.0 else 0.0
        reset = _UNSAID_RESET_SECONDS if reset_seconds is None else reset_seconds
        self._vendor_reset_at = self._clock() + reset
        self._level = min(self._refilled(), share)

    def set_share(self, replicas: int) -> None:
        self._level = self._refilled() * self._replicas / replicas
        self._replicas = replicas
        self._resize()

    def _resize(self) -> None:
        settings = self._settings
        if settings.per_minute is None:
            return
        self._rate = settings.per_minute / 60.0 / self._replicas
        self._size = max(1.0, self._rate * settings.burst_seconds)
        self._level = min(self._level, self._size)

    def _refilled(self) -> float:
        now = self._clock()
        if math.isinf(self._size):
            return math.inf
        self._level = min(self._size, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        return self._level
