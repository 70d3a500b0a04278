"""Permits that are held before a call, and what it means that none was given."""

from collections.abc import Sequence

from providers.gate.base import Permit, Saturated, SaturatedBy, Unavailable
from providers.pool.table import Candidate
from state.errors import ProviderError, ProviderSaturatedError, ProviderUnavailableError

Refusal = Saturated | Unavailable


class Admitted:
    """A permit in hand, and the model it is for, or the `remote` where a run is to go on.

    Give it to `ModelPool.stream`, or call `abandon`; after either, `abandon` does nothing. So whoever holds
    one can always abandon it in the end, and must: a stream that nobody iterates never takes it.
    """

    __slots__ = ("_permit", "candidate", "remote")

    def __init__(self, candidate: Candidate | None, permit: Permit, *, remote: str = "") -> None:
        self.candidate = candidate
        self.remote = remote
        self._permit: Permit | None = permit

    @property
    def model(self) -> str:
        """The model's name in the configuration."""
        return self.candidate.name if self.candidate else ""

    def take(self) -> Permit | None:
        """The permit, for whoever takes it first."""
        permit, self._permit = self._permit, None
        return permit

    def abandon(self) -> None:
        if (permit := self.take()) is not None:
            permit.abandoned()


def refusal_of(error: ProviderError) -> Refusal:
    """What a failed call says of the model, in the words of a gate."""
    after = error.retry_after
    if isinstance(error, ProviderSaturatedError):
        return Saturated(SaturatedBy.VENDOR, after)
    return Unavailable(after or 0.0)


def summed_up(refusals: Sequence[Refusal]) -> Refusal:
    """Saturated when any model only has no room, else all are down; with the shortest time told."""
    full = [refusal for refusal in refusals if isinstance(refusal, Saturated)]
    if full:
        times = [refusal.retry_after for refusal in full if refusal.retry_after is not None]
        return Saturated(full[0].by, min(times, default=None))
    return Unavailable(min(r.retry_after for r in refusals if isinstance(r, Unavailable)))


def error_of(refusal: Refusal) -> ProviderError:
    """The error of a call that no model took."""
    after = refusal.retry_after
    if isinstance(refusal, Saturated):
        return ProviderSaturatedError("no model that may answer has room now", retry_after=after)
    return ProviderUnavailableError("all models that may answer are down", retry_after=after)
