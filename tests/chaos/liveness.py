"""A clock that only runs while work can be expected to go on: it stops while there is too much wrong."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tests.chaos.faults import Kind

INTOLERABLE = frozenset({Kind.POSTGRES_STOP, Kind.DISK_FULL, Kind.PROVIDER_CUT, Kind.CONNECTIONS_ENDED})
"""With one of these nobody can work, whatever else is well."""
AFTERWARDS_SECONDS = 1.0
"""So long after a fault it still counts: what it broke has to be found out first."""


class LivenessClock:
    """`seconds`: how long the faults so far were tolerable: at least one replica, and all that it stands on,
    was left alone."""

    def __init__(self, replicas: int, *, now: Callable[[], float] = monotonic) -> None:
        self._replicas = replicas
        self._now = now
        self._hit: Counter[int] = Counter()
        self._intolerable = 0
        self._since = now()
        self._seconds = 0.0

    @property
    def runs(self) -> bool:
        """Whether what is wrong now is tolerable."""
        return not self._intolerable and len(+self._hit) < self._replicas

    @property
    def seconds(self) -> float:
        self._turn()
        return self._seconds

    @contextmanager
    def during(self, kind: Kind, replica: int) -> Iterator[None]:
        """A fault is there while inside."""
        self._add(kind, replica, 1)
        try:
            yield
        finally:
            self._add(kind, replica, -1)

    def _add(self, kind: Kind, replica: int, one: int) -> None:
        self._turn()
        if replica >= 0:
            self._hit[replica] += one
        elif kind in INTOLERABLE:
            self._intolerable += one

    def _turn(self) -> None:
        now = self._now()
        if self.runs:
            self._seconds += now - self._since
        self._since = now
