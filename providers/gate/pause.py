"""How long a provider that refused is left alone."""

from dataclasses import dataclass

from providers.window import Chance, Clock


@dataclass(frozen=True, slots=True)
class PauseSettings:
    """What follows a refusal (429, 529), in seconds.

    Its Retry-After is kept. Where there is none, or a shorter one, the pause is `least_seconds`, and doubles
    with every round of calls of which none was taken, up to `cap_seconds`. A random part, at most `jitter` of
    it, is put on top.
    """

    least_seconds: float = 0.25
    cap_seconds: float = 30.0
    jitter: float = 0.25


class VendorPause:
    """No call is admitted until the provider's Retry-After is over."""

    def __init__(self, settings: PauseSettings, clock: Clock, chance: Chance) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._pause_seconds = self._next_seconds = settings.least_seconds
        self._until = 0.0
        self._round_began = 0.0

    def wait(self) -> float:
        """Seconds that are left of it."""
        return max(0.0, self._until - self._clock())

    def refused(self, retry_after: float | None, *, news: bool) -> None:
        """A call was refused; `news`: for the first time in its round of calls."""
        if news:
            self._round_began = self._until
            self._pause_seconds = self._next_seconds
            self._next_seconds = min(self._settings.cap_seconds, self._next_seconds * 2)
        wait = max(retry_after or 0.0, self._pause_seconds)
        # On top, never off: all replicas were told the same second, and none may come before it.
        wait *= 1.0 + self._settings.jitter * self._chance()
        self._until = max(self._until, self._clock() + wait)

    def taken(self, admitted_at: float) -> None:
        """A call was taken. Of the round that was refused last, it shows that not all of it was refused."""
        if admitted_at >= self._round_began:
            self._next_seconds = self._settings.least_seconds
