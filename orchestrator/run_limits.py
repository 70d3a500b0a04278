"""What the runs of a process may take."""

from dataclasses import dataclass

from orchestrator.again import RetryPolicy


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may take.

    `window_seconds`: how long text is gathered into one chunk. `buffer_characters`: how much of a run's text
    may wait to be written. `drain_seconds`: how long runs may go on after the process was told to stop.
    `max_seconds`: how long any run may take. `permission_seconds`: how long people have to decide, unless a
    request says. `retries`: what becomes of a run that fails.
    """

    window_seconds: float
    drain_seconds: float
    max_seconds: float
    permission_seconds: float
    retries: RetryPolicy
    buffer_characters: int = 1 << 20
