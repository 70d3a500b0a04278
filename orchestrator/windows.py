"""For how long a run's text is gathered into one chunk, and when that time is over."""

from dataclasses import dataclass
from math import floor

from state.models import RunId

WIDEST_SECONDS = 0.1
"""Text waits no longer than that, unless a caller wants it to."""

_LONGEST = 1.25
"""In windows: the first one of a run ends with those of others, and so is 0.25 to 1.25 windows long."""

_CROWDED_SECONDS = 0.07
"""The longest that many runs make text wait: a busy loop is late by some more."""

_CHUNKS_A_SECOND = 300
"""From all runs together: where there would be more, text is gathered for longer."""

_PHASES, _CROWD = 3, 32
"""So many runs end their windows in turns: what is written at one moment keeps whoever arrives waiting."""

_FLUSHES = 4
"""A slow store widens the window to this many times its last flush, so that flushing never falls behind."""


@dataclass(frozen=True, slots=True)
class Window:
    """Text is gathered for so many `seconds`; windows end `phase` of one after the multiples of that."""

    seconds: float
    phase: float = 0.0


def window_of(run_id: RunId, seconds: float, runs: int) -> Window:
    """A run's window while so many runs write: longer than `seconds` if many do.

    Few end theirs together: their records share a commit, and what wakes up does so once for all of them.
    """
    crowded = min(_CROWDED_SECONDS / _LONGEST, runs / _CHUNKS_A_SECOND)
    phase = hash(run_id) % _PHASES / _PHASES if runs >= _CROWD else 0.0
    return Window(max(seconds, crowded), phase)


def next_flush(began: float, took: float, window: Window) -> float:
    """When the window ends that the last flush has opened: about one window from then."""
    slow = min(WIDEST_SECONDS, took * _FLUSHES)
    if slow >= window.seconds:
        return began + slow
    return (floor(began / window.seconds - window.phase + _LONGEST) + window.phase) * window.seconds
