"""The pool of models, as the line asks it."""

from collections.abc import Callable, Collection
from typing import Protocol

from providers.gate.base import Gate, Saturated, SaturatedBy, Unavailable
from providers.pool.admission import Admitted, Refusal
from providers.pool.choice import choice_of, needs_of, remote_of
from providers.pool.pool import ModelPool
from state.errors import InvalidRequestError

_GONE_SECONDS = 60.0


class Gates(Protocol):
    """What stands before the services where runs are done that are not done here."""

    def gate(self, name: str) -> Gate | None: ...


class Room:
    """Whether there is room for what a run wants, by the key in its row."""

    def __init__(self, models: ModelPool, remotes: Gates) -> None:
        self._models = models
        self._remotes = remotes

    def admit(self, wants: str, waiting: Collection[str] = ()) -> Admitted | Refusal:
        """A permit for a run's first call, unless one of those who are `waiting` could use it.

        A model that went with its file may come back with the next.
        """
        if remote := remote_of(wants):
            return self._elsewhere(remote, wants in waiting)
        try:
            verdict = self._models.admit(choice_of(wants), needs=needs_of(wants))
        except InvalidRequestError:
            return Unavailable(_GONE_SECONDS)
        if isinstance(verdict, Admitted) and any(self.serves(verdict, other) for other in waiting):
            verdict.abandon()
            return Saturated(SaturatedBy.CONCURRENCY)
        return verdict

    def serves(self, admitted: Admitted, wants: str) -> bool:
        """Whether a permit could be used for this as well."""
        if admitted.remote or remote_of(wants):
            return admitted.remote == remote_of(wants)
        return self._models.serves(admitted, choice_of(wants), needs_of(wants))

    def on_room(self, wants: str, listener: Callable[[], None]) -> Callable[[], None]:
        """As `ModelPool.on_room`."""
        if remote := remote_of(wants):
            gate = self._remotes.gate(remote)
            return gate.on_room(listener) if gate else _nothing
        return self._models.on_room(choice_of(wants), listener)

    def _elsewhere(self, remote: str, others_wait: bool) -> Admitted | Refusal:
        gate = self._remotes.gate(remote)
        if not gate:
            return Unavailable(_GONE_SECONDS)
        if others_wait:
            return Saturated(SaturatedBy.CONCURRENCY)
        answer = gate.admit()
        if isinstance(answer, Saturated | Unavailable):
            return answer
        return Admitted(None, answer, remote=remote)


def _nothing() -> None:
    """Nobody is told anything of what is not there."""
