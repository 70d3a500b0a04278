"""Whether a run that failed is tried again, and when."""

import random
from dataclasses import dataclass

from state.errors import OrchestratorError, ProviderSaturatedError, ProviderUnavailableError
from state.models import RunKind

_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Again:
    """After so many seconds; an attempt that `counts` is one of those that a task has."""

    seconds: float
    counts: bool


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_attempts` of a task; `retry_seconds` before the second, then twice as long each time, up to 60.

    Half of every pause is left to chance, so that what failed together does not come back together.
    """

    max_attempts: int
    retry_seconds: float

    def again(
        self, error: OrchestratorError, *, kind: RunKind, waits: bool, tries: int, deferrals: int
    ) -> Again | None:
        """What follows an attempt that failed; None = nothing, the run has failed.

        `tries` counts the attempts so far, `deferrals` how often no provider took the run.
        """
        if isinstance(error, ProviderSaturatedError):
            return Again(0.0, counts=False) if waits else None  # its gate knows for how long
        if kind is not RunKind.TASK:
            return None
        if isinstance(error, ProviderUnavailableError):
            return Again(self._pause(deferrals), counts=False)
        if error.retry_after is not None and tries < self.max_attempts:
            return Again(self._pause(tries - 1), counts=True)
        return None

    def _pause(self, earlier: int) -> float:
        longest = min(_LONGEST_SECONDS, self.retry_seconds * 2.0 ** min(earlier, 16))
        return longest * random.uniform(0.5, 1.0)
