"""How many calls may be made again, over all requests of a process."""

import time
from collections import deque
from collections.abc import Callable


class RetryBudget:
    """Allows further calls for a share of the requests of the last `window_seconds`, and at least `floor`.

    In an outage every request fails; if each were tried again everywhere, the providers would get a multiple
    of their load just when they can bear it least. The share is that of Google's SRE book ("Handling
    Overload": a client's retries stay below 10 % of its requests), the window and the floor, for a process
    with few requests, are those of Finagle's RetryBudget (finagle.github.io/blog/2016/02/08/retry-budgets).
    Other than there, the floor is not added to the share: added, a long outage would exceed it. The floor is
    what opens a breaker, so that a quiet process need not fail any request because of one dead provider.
    """

    def __init__(
        self,
        *,
        share: float = 0.1,
        window_seconds: float = 60.0,
        floor: int = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share = share
        self._window_seconds = window_seconds
        self._floor = floor
        self._clock = clock
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def requested(self) -> None:
        """Count one request, whatever becomes of it."""
        self._forget()
        self._requests.append(self._clock())

    @property
    def has_room(self) -> bool:
        """Whether one more call may be made again."""
        self._forget()
        return len(self._retries) < max(
            self._floor if self._share else 0, int(self._share * len(self._requests))
        )

    def retried(self) -> None:
        """Count one call that is not its request's first."""
        self._retries.append(self._clock())

    def _forget(self) -> None:
        begin = self._clock() - self._window_seconds
        for times in (self._requests, self._retries):
            while times and times[0] < begin:
                times.popleft()
