"""How long the line may be, and what a priority is worth in it."""

from dataclasses import dataclass

from state.models import Joining, Priority

_SPACING_SECONDS = 5.0
"""How far a user's next run stands behind the one before it."""
_ALWAYS_FIRST = 1e9
"""Seconds that nobody ever waits."""


@dataclass(frozen=True, slots=True)
class LineLimits:
    """From `high_share` of `capacity` runs, queued and running, on nobody joins, until below `low_share`.

    `priority_seconds`: a step of priority counts as so many seconds of waiting; 0 = whoever waits, it goes
    first. `quarantine_seconds`: so long a run that processes have died of waits for one that is idle.
    """

    capacity: int
    high_share: float
    low_share: float
    priority_seconds: float
    quarantine_seconds: float

    @property
    def high(self) -> int:
        """The mark from which on nobody joins."""
        return max(1, round(self.capacity * self.high_share))

    @property
    def low(self) -> int:
        """The mark below which runs join again."""
        return max(1, round(self.capacity * self.low_share))

    def joining(self, priority: Priority) -> Joining:
        return Joining(_SPACING_SECONDS, self.high, self.low, self.lead_seconds(priority))

    def lead_seconds(self, priority: Priority) -> float:
        """By how much a priority puts a run forward."""
        return (priority - Priority.NORMAL) * (self.priority_seconds or _ALWAYS_FIRST)
