"""How long a provider that refused is left alone."""

from dataclasses import dataclass

from providers.window import Chance, Clock


@dataclass(frozen=True, slots=True)
class PauseSettings:
    """What follows a refusal (429, 529), in seconds.

    Its Retry-After is kept. Where there is none, or a shorter one, the pause is `least_seconds`, and doubles
    with every round of calls that is refused again, up to `cap_seconds`. A random part, at most `jitter` of
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
        self._least_seconds = settings.least_seconds
        self._until = 0.0

    def wait(self) -> float:
        """Seconds that are left of it."""
        return max(0.0, self._until - self._clock())

    def refused(self, retry_after: float | None, *, news: bool) -> None:
        """A call was refused; `news`: for the first time in its round of calls."""
        wait = max(retry_after or 0.0, self._least_seconds)
        # On top, never off: all replicas were told the same second, and none may come before it.
        wait *= 1.0 + self._settings.jitter * self._chance()
        self._until = max(self._until, self._clock() + wait)
        if news:
            self._least_seconds = min(self._settings.cap_seconds, self._least_seconds * 2)

    def taken(self) -> None:
        """The provider takes calls again."""
        self._least_seconds = self._settings.least_seconds
