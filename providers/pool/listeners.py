"""Who wants to know that there may be room again, through changes of the configuration."""

from collections.abc import Callable, Iterable

from providers.gate.base import Gate


class RoomListener:
    """One listener at the gates of what it waits for."""

    def __init__(self, listener: Callable[[], None], gates: Callable[[], Iterable[Gate]]) -> None:
        self._listener = listener
        self._gates = gates
        self._ends: list[Callable[[], None]] = []
        self._attach()

    def moved(self) -> None:
        """The gates may be others now; where there was no room there may be some."""
        self.end()
        self._attach()
        self._listener()

    def end(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def _attach(self) -> None:
        once = {id(gate): gate for gate in self._gates()}
        self._ends = [gate.on_room(self._listener) for gate in once.values()]
