"""The pool of models, as the line asks it."""

from collections.abc import Callable, Collection

from providers.gate.base import Saturated, SaturatedBy, Unavailable
from providers.pool.admission import Admitted, Refusal
from providers.pool.choice import choice_of, needs_of
from providers.pool.pool import ModelPool
from state.errors import InvalidRequestError

_GONE_SECONDS = 60.0


class Room:
    """Whether there is room for what a run wants, by the key in its row."""

    def __init__(self, models: ModelPool) -> None:
        self._models = models

    def admit(self, wants: str, waiting: Collection[str] = ()) -> Admitted | Refusal:
        """A permit for a run's first call, unless one of those who are `waiting` could use it.

        A model that went with its file may come back with the next.
        """
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
        return self._models.serves(admitted, choice_of(wants), needs_of(wants))

    def on_room(self, wants: str, listener: Callable[[], None]) -> Callable[[], None]:
        """As `ModelPool.on_room`."""
        return self._models.on_room(choice_of(wants), listener)
