"""How long one call may wait for what."""

import asyncio
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProviderTimeouts:
    """Limits of one call, in seconds.

    `first_token` counts from the call, so it includes `connect`; `between_tokens` from one piece of the
    answer to the next, pieces of tool calls included; bytes that bring no piece, as keep-alive comments,
    extend neither.
    """

    connect: float
    first_token: float
    between_tokens: float
    total: float


class Patience:
    """When one call stops waiting. `started`: the answer has begun.

    `callers_deadline`, in the event loop's time, is nobody's fault: it must not count against the provider.
    """

    __slots__ = ("_between_tokens", "_callers_deadline", "_end", "_loop", "deadline", "started")

    def __init__(self, timeouts: ProviderTimeouts, callers_deadline: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._between_tokens = timeouts.between_tokens
        self._callers_deadline = math.inf if callers_deadline is None else callers_deadline
        self._end = min(now + timeouts.total, self._callers_deadline)
        self.deadline = min(now + timeouts.first_token, self._end)
        self.started = False

    @property
    def caller_stopped_waiting(self) -> bool:
        # Not by the clock: a timer may fire a moment early, and then the provider would be blamed.
        return self.deadline >= self._callers_deadline

    def renew(self) -> None:
        """Wait `between_tokens` from now on.

        Called after the consumer took its deltas: a slow consumer is not a slow provider.
        """
        self.deadline = min(self._loop.time() + self._between_tokens, self._end)
