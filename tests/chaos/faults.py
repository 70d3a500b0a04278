"""What goes wrong and when: a schedule that a seed decides, and nothing else."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any

from tests.integration.tasks.workers import POINTS


class Kind(StrEnum):
    """What a fault is. Those before POSTGRES_STOP hit one replica, the others what all stand on."""

    KILL = "kill"
    KILL_AT_POINT = "kill at a point"
    PAUSE = "pause"
    PAUSE_UNTIL_TAKEN = "pause until taken over"
    HOLD_UNTIL_TAKEN = "writes held until taken over"
    RESTART = "restart"
    SKEW = "clock skew"
    DATABASE_CUT = "database cut"
    DATABASE_SILENT = "database silent"
    DATABASE_UNHEARD = "database unheard"
    CLIENT_CUT = "client cut"
    CLIENT_SILENT = "client silent"
    POSTGRES_STOP = "postgres stop"
    CONNECTIONS_ENDED = "connections ended"
    DISK_FULL = "disk full"
    PROVIDER_SLOW = "provider slow"
    PROVIDER_BROKEN = "provider broken"
    PROVIDER_REFUSING = "provider refusing"
    PROVIDER_CUT = "provider cut"
    TOOLS_DEAD = "tools dead"
    TOOLS_SLOW = "tools slow"
    TOOLS_LOSE_ANSWERS = "tools lose answers"


WEIGHTS = {
    Kind.KILL: 5,
    Kind.KILL_AT_POINT: 4,
    Kind.PAUSE: 3,
    Kind.PAUSE_UNTIL_TAKEN: 5,
    Kind.HOLD_UNTIL_TAKEN: 5,
    Kind.RESTART: 2,
    Kind.SKEW: 3,
    Kind.DATABASE_CUT: 3,
    Kind.DATABASE_SILENT: 2,
    Kind.DATABASE_UNHEARD: 3,
    Kind.CLIENT_CUT: 4,
    Kind.CLIENT_SILENT: 2,
    Kind.POSTGRES_STOP: 3,
    Kind.CONNECTIONS_ENDED: 3,
    Kind.DISK_FULL: 2,
    Kind.PROVIDER_SLOW: 2,
    Kind.PROVIDER_BROKEN: 4,
    Kind.PROVIDER_REFUSING: 2,
    Kind.PROVIDER_CUT: 2,
    Kind.TOOLS_DEAD: 2,
    Kind.TOOLS_SLOW: 2,
    Kind.TOOLS_LOSE_ANSWERS: 3,
}
OF_ONE_REPLICA = frozenset(list(Kind)[: list(Kind).index(Kind.POSTGRES_STOP)])
_SECONDS: dict[Kind, tuple[float, float]] = {
    Kind.KILL: (0.0, 0.0),
    Kind.KILL_AT_POINT: (1.5, 1.5),
    Kind.PAUSE: (0.5, 5.0),
    Kind.PAUSE_UNTIL_TAKEN: (5.0, 5.0),
    Kind.HOLD_UNTIL_TAKEN: (5.0, 5.0),
    Kind.RESTART: (0.0, 0.0),
    Kind.SKEW: (0.0, 0.0),
    Kind.DATABASE_UNHEARD: (0.1, 1.0),
    Kind.POSTGRES_STOP: (0.0, 2.0),
    Kind.CONNECTIONS_ENDED: (0.0, 0.0),
    Kind.DISK_FULL: (0.5, 2.0),
}
"""How long each lasts, or is waited for; the lease under test is 1.5 s."""
_POINTS = (*POINTS, "ask", "decide", "effect begun", "effect done")
_ELSE = (0.5, 4.0)
_SKEWS = (-3600, -30, 30, 3600)
_PAUSES = (0.5, 4.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them, `at` so many seconds into the run. `replica`: whose, -1 for what is of all.

    `point`: of the audit's, with its statement kept or not; `skew`: of the replica's clock, in seconds.
    """

    at: float
    kind: Kind
    seconds: float
    replica: int = -1
    point: str = ""
    committed: bool = False
    skew: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def schedule(
    seed: int, seconds: float, replicas: int, kinds: Collection[Kind] = frozenset(Kind)
) -> list[Fault]:
    """The faults of so many seconds, in order, of these kinds only; several may be there at once."""
    random = Random(f"faults of {seed}")
    deck: list[Kind] = []
    faults: list[Fault] = []
    at = random.uniform(*_PAUSES)
    while at < seconds:
        if not deck:  # a deck and not dice: a short run too has a bit of everything
            deck = [kind for kind, weight in WEIGHTS.items() if kind in kinds for _ in range(weight)]
            random.shuffle(deck)
        faults.append(_fault(random, deck.pop(), at, replicas))
        at += random.uniform(*_PAUSES)
    return faults


def _fault(random: Random, kind: Kind, at: float, replicas: int) -> Fault:
    # All dice are thrown for each kind: so a change of one kind leaves the others where they were.
    length = random.uniform(*_SECONDS.get(kind, _ELSE))
    replica, point = random.randrange(replicas), random.choice(_POINTS)
    committed, skew = random.random() < 0.5, random.choice(_SKEWS)
    return Fault(
        at=round(at, 3),
        kind=kind,
        seconds=round(length, 3),
        replica=replica if kind in OF_ONE_REPLICA else -1,
        point=point if kind is Kind.KILL_AT_POINT else "",
        committed=committed and kind is Kind.KILL_AT_POINT,
        skew=skew if kind is Kind.SKEW else 0,
    )
