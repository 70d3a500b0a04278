"""Where runs stand in line, and how long that takes them."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from state.models import RunId

_RATE_SECONDS = 60.0
_FEWEST_TAKEN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands: 1 is next. `wait_seconds` is measured, None when nothing was taken lately."""

    position: int
    wait_seconds: float | None


class Places:
    """Remembers the places that somebody here watches, and how fast this process serves.

    `replicas`: how many processes do; the others are taken to be like this one.
    """

    def __init__(self) -> None:
        self._wants: dict[RunId, str] = {}
        self._watchers: Counter[RunId] = Counter()
        self._positions: Mapping[RunId, int] = {}
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)
        self.replicas = 1

    @contextmanager
    def watching(self, run_id: RunId, wants: str) -> Iterator[None]:
        """Keep a run's place known for the length of the block."""
        self._wants[run_id] = wants
        self._watchers[run_id] += 1
        try:
            yield
        finally:
            self._watchers[run_id] -= 1
            if not self._watchers[run_id]:
                del self._watchers[run_id], self._wants[run_id]

    @property
    def watched(self) -> list[RunId]:
        """The runs whose place somebody wants to know."""
        return list(self._wants)

    def found(self, positions: Mapping[RunId, int]) -> None:
        """The watched runs that are in line stand here now."""
        self._positions = positions

    def place(self, run_id: RunId) -> Place | None:
        """Where a watched run stands; None when it is not in line, or has not been looked for yet."""
        position = self._positions.get(run_id)
        return None if position is None else self.at(self._wants[run_id], position)

    def at(self, wants: str, position: int) -> Place:
        """The place of who stands there for this."""
        rate = self._rate(wants)
        return Place(position, position / rate if rate else None)

    def taken(self, wants: str) -> None:
        """One run that wants this has left the line here."""
        self._taken[wants].append(monotonic())

    def _rate(self, wants: str) -> float:
        """Runs a second that leave the line, over all replicas."""
        taken, now = self._taken[wants], monotonic()
        while taken and now - taken[0] > _RATE_SECONDS:
            taken.popleft()
        if len(taken) < _FEWEST_TAKEN:
            return 0.0
        return self.replicas * len(taken) / max(now - taken[0], 1e-3)
