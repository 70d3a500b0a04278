"""The cases: which call, with whose ids. Calls and ids are those of the descriptors."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.isolation.kinds import METHODS, Kind, ids_of
from tests.isolation.requests import NEEDS
from tests.isolation.world import STRANGER, Belongings


class Whose(StrEnum):
    """What an id is to who sends it. ABSENT: the field is empty."""

    OWN = "own"
    OTHERS = "other's"
    MISSING = "missing"
    DELETED = "deleted"
    MALFORMED = "malformed"
    ABSENT = "absent"


KEPT = "GetUsage"
"""What a user has used is not deleted with its conversations."""
RELATIONS = tuple(whose for whose in Whose if whose is not Whose.ABSENT)


@dataclass(frozen=True, slots=True)
class Id:
    """One id of a case. OWN is chosen when the call is made, since some calls use up what they name."""

    whose: Whose
    kind: Kind
    value: str = ""
    spelling: str = "as it is"

    @property
    def foreign(self) -> bool:
        """There is nothing that the caller may find by it."""
        return self.whose not in (Whose.OWN, Whose.ABSENT)

    def spelt(self, value: str) -> str:
        return SPELLINGS[self.spelling](value)


@dataclass(frozen=True, slots=True)
class Case:
    """A call by a user with these ids, by their paths."""

    method: str
    ids: Mapping[str, Id]
    user: str = STRANGER
    """Who asks."""
    decision: str = "approved"

    def __str__(self) -> str:
        ids = ", ".join(f"{path} {i.whose} {i.value[:12]!r} {i.spelling}" for path, i in self.ids.items())
        return f"{self.method} by {self.user!r}: {ids}"


_CYRILLIC = str.maketrans("aceopxy", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443")
_WIDE = {ord(digit): chr(0xFF10 + int(digit)) for digit in "0123456789"}

SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "a space behind": lambda text: f"{text} ",
    "a space before": lambda text: f" {text}",
    "NUL behind": lambda text: f"{text}\0",
    "a newline behind": lambda text: f"{text}\n",
    "cyrillic letters": lambda text: text.translate(_CYRILLIC),
    "wide digits": lambda text: text.translate(_WIDE),
    "a zero-width space behind": lambda text: f"{text}\u200b",
    "in braces": lambda text: f"{{{text}}}",
    "as a URN": lambda text: f"urn:uuid:{text}",
    "percent-encoded": lambda text: "".join(f"%{ord(c):02x}" for c in text[:80]),
    "SQL behind": lambda text: f"{text}' OR '1'='1",
    "a wildcard": lambda text: f"{text[:-1]}%",
    "cut short": lambda text: text[:-1],
    "twice": lambda text: f"{text},{text}",
}
"""Ways to write an id that something might take for it."""

_NONSENSE = (
    "\0", "%%%%", "x" * 300, "    ", "../../etc", "____", "****", "{{}}", "null", "0" * 32, "-1-1",
    "\u202e" * 4, "a\tb",
)  # fmt: skip
"""No id has such a form. None is so short that it stands in other texts."""
NEVER = ("never-was-{number}", "{number:032x}", "00000000-0000-4000-8000-{number:012x}")


def whole_matrix(method: str, stranger: Belongings, victim: Belongings) -> list[Case]:
    """Every id of a method in every relation, by each of the things there are."""
    cases = []
    for path, kind in ids_of(method).items():
        for one in _users(method, victim) if kind is Kind.USER else _choices(kind, stranger, victim):
            user = one.value if kind is Kind.USER and one.whose is not Whose.OWN else STRANGER
            cases.append(Case(method, {**_needed(method, user, victim), path: one}, user))
    return cases


CONFUSABLE = (
    "Ann", "ANN", "ann ", " ann", "\u0430nn", "ann\u200b", "\uff41nn", "an\u0144", "ann'--", "ann%", "a_n",
    "ann/", "ann\u0301", "ANN@", "ann,mallory", "{ann}", "\u202eann", "*",
)  # fmt: skip
"""Users who are not `ann`, whatever their names look like."""


def drawn(stranger: Belongings, victim: Belongings, number: int, seed: int) -> Iterator[Case]:
    """So many cases of several ids each, at random but always the same."""
    chance = random.Random(seed)
    methods = [method for method in METHODS if ids_of(method)]
    for _ in range(number):
        method = chance.choice(methods)
        paths = {path: kind for path, kind in ids_of(method).items() if kind is not Kind.USER}
        some = chance.sample(sorted(paths), k=min(len(paths), chance.choice((1, 2, 2, 3))))
        ids = {path: _drawn_id(chance, paths[path], stranger, victim) for path in some}
        user = chance.choice(CONFUSABLE) if chance.random() < 0.15 else STRANGER
        if user != STRANGER:
            ids = {path: i for path, i in ids.items() if i.whose is not Whose.OWN}
            ids = {**_needed(method, user, victim), **ids}
        yield Case(method, ids, user, chance.choice(("approved", "denied", "revoked")))


def _needed(method: str, user: str, victim: Belongings) -> dict[str, Id]:
    """What a call cannot do without, of the victim: for who has nothing."""
    if user == STRANGER or method not in NEEDS:
        return {}
    path = NEEDS[method][0]
    kind = ids_of(method)[path]
    return {path: Id(Whose.OTHERS, kind, victim.has[kind][0])}


def _users(method: str, victim: Belongings) -> Iterator[Id]:
    """Who calls. Another one's name is for who has to prove it: test_tokens.py."""
    yield Id(Whose.OWN, Kind.USER)
    yield Id(Whose.MISSING, Kind.USER, "nobody-ever")
    if method != KEPT:
        yield Id(Whose.DELETED, Kind.USER, victim.deleted[Kind.USER][0])
    for nonsense in ("", "    ", "\0", "x" * 300, "ann\n", "ann\0"):
        yield Id(Whose.MALFORMED, Kind.USER, nonsense)


def _choices(kind: Kind, stranger: Belongings, victim: Belongings) -> Iterator[Id]:
    yield Id(Whose.OWN, kind)
    for value in _of_victim(kind, stranger, victim):
        yield Id(Whose.OTHERS, kind, value)
    for belongings in (stranger, victim):
        for value in _theirs(belongings.deleted, kind):
            yield Id(Whose.DELETED, kind, value)
    yield Id(Whose.MISSING, kind, NEVER[1].format(number=1))
    for nonsense in _NONSENSE[: 1 if kind is Kind.NOTHING else 4]:
        yield Id(Whose.MALFORMED, kind, nonsense)


def _drawn_id(chance: random.Random, kind: Kind, stranger: Belongings, victim: Belongings) -> Id:
    whose = chance.choice((*Whose, Whose.OTHERS, Whose.OTHERS, Whose.OTHERS, Whose.OWN))
    spelling = chance.choice(list(SPELLINGS)) if chance.random() < 0.4 else "as it is"
    match whose:
        case Whose.OTHERS:
            return Id(whose, kind, chance.choice(_of_victim(kind, stranger, victim)), spelling)
        case Whose.DELETED:
            ids = [*_theirs(stranger.deleted, kind), *_theirs(victim.deleted, kind)]
            return Id(whose, kind, chance.choice(ids), spelling)
        case Whose.MISSING:
            return Id(whose, kind, chance.choice(NEVER).format(number=chance.randrange(10**9)), spelling)
        case Whose.MALFORMED:
            return Id(whose, kind, chance.choice(_NONSENSE))
    return Id(whose, kind)


def _of_victim(kind: Kind, stranger: Belongings, victim: Belongings) -> list[str]:
    return [value for value in _theirs(victim.has, kind) if value not in stranger.has[kind]]


def _theirs(ids: Mapping[Kind, list[str]], kind: Kind) -> list[str]:
    """What there is of a kind; of ids that name nothing, those of everything else."""
    if kind is not Kind.NOTHING:
        return list(dict.fromkeys(ids[kind]))
    named = (Kind.PERMISSION, Kind.CONVERSATION)
    return [ids[kind][-1] for kind in named]
