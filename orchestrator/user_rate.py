"""How often one user may ask: a bucket of tokens each, of which only those that are not full are kept."""

import time
from collections.abc import Callable
from math import ceil

from state.errors import QuotaExceededError
from state.violations import QuotaViolation

_SWEEP = 1024
"""So many buckets are kept before those that have filled up again are looked for."""

_ROUNDING_SECONDS = 1e-9


class UserRate:
    """Takes a token for each request; `per_second` come back, up to `burst`. A rate of 0 is no limit."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEEP

    @property
    def known(self) -> int:
        """How many users are remembered."""
        return len(self._full_at)

    def take(self, user: str) -> None:
        """One token of this user's.

        Raises:
            QuotaExceededError: There is none; `retry_after` is when there will be one.
        """
        if not self._per_second:
            return
        now = self._clock()
        full_at = max(now, self._full_at.get(user, now)) + 1 / self._per_second
        over = full_at - now - self._burst / self._per_second
        if over > _ROUNDING_SECONDS:
            raise self._refusal(user, over)
        self._full_at[user] = full_at
        if len(self._full_at) > self._sweep_at:
            self._forget_full(now)

    def _forget_full(self, now: float) -> None:
        self._full_at = {user: at for user, at in self._full_at.items() if at > now}
        self._sweep_at = max(_SWEEP, 2 * len(self._full_at))

    def _refusal(self, user: str, seconds: float) -> QuotaExceededError:
        limit = f"at most {self._per_second:g} requests a second, {self._burst} at once"
        return QuotaExceededError(
            f"one user may make {limit}",
            QuotaViolation(f"user:{user}", limit),
            retry_after=ceil(seconds * 1000) / 1000,
            metadata={"limit": f"{self._per_second:g}", "burst": str(self._burst)},
        )
