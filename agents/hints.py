"""What speaks for an agent in the words of a request, without a model."""

import re
from collections.abc import Callable, Iterable, Sequence

from agents.spec import LIKE_AN_EXAMPLE, AgentSpec
from agents.words import words

_MOST_WORDS = 60
"""In a longer message stands something that was pasted, whose words are not the person's."""

_LEAST, _MARGIN = 2.0, 2.0
"""What an agent needs to be plain, and how many times as much as the next one."""

_PHRASE_WORDS = 3
"""A longer phrase counts no more than one of so many words."""

_EXAMPLE = 4.0
"""What a request counts that is one of the examples."""

_OPENERS = frozenset(
    [
        "a",
        "an",
        "the",
        "my",
        "our",
        "your",
        "some",
        "any",
        "all",
        "please",
        "ok",
        "okay",
        "hey",
        "hi",
        "so",
        "now",
        "then",
        "what",
        "whats",
        "which",
        "how",
        "hows",
        "is",
        "are",
        "was",
        "will",
        "would",
        "can",
        "could",
        "you",
        "i",
        "we",
        "me",
        "us",
        "it",
        "there",
        "do",
        "want",
        "need",
        "like",
        "to",
        "id",
        "lets",
        "show",
        "list",
        "give",
        "tell",
        "get",
        "check",
        "read",
        "see",
        "look",
        "up",
        "write",
        "make",
        "start",
        "begin",
        "new",
    ]
)
"""With these a request may begin before it comes to what it is about."""

_DENIALS = frozenset(
    [
        "not",
        "no",
        "never",
        "without",
        "dont",
        "doesnt",
        "didnt",
        "isnt",
        "wont",
        "cannot",
        "cant",
        "instead",
        "except",
    ]
)

_RELEASE = re.compile(
    r"(please |ok |okay |now |lets )*(stop|exit|quit|leave|end|finish|close|unlock|release|cancel)"
    r"( playing| being)?( with)?( the| this| that)?( \w+){0,2}"
    r"( agent| game| mode| simulation| session| lock| wargame| conversation)( now| please| here)*"
    r"|(please )?(stop|exit|quit|unlock)( now| please| here| it| this| that)*"
    r"|(back|return|switch back) to( the)?( normal| ordinary| usual| main)?( chat| assistant)"
)


def scores(question: str, specs: Iterable[AgentSpec]) -> dict[str, float]:
    """How much speaks for each agent, by name: 0 = nothing."""
    said = words(question)
    return {spec.name: _score(said, spec) for spec in specs}


def plain(
    question: str,
    specs: Iterable[AgentSpec],
    *,
    least: float = _LEAST,
    able: Callable[[AgentSpec], bool] = lambda _: True,
) -> AgentSpec | None:
    """The agent that a request is plainly for, of those that are `able`; None where that is to be asked."""
    said = words(question)
    if not said or len(said) > _MOST_WORDS or _DENIALS.intersection(said):
        return None
    scored = ((_score(said, spec), spec) for spec in specs)
    ranked = sorted((pair for pair in scored if pair[0] and able(pair[1])), key=lambda pair: -pair[0])
    if not ranked or ranked[0][0] < least:
        return None
    if len(ranked) > 1 and ranked[0][0] < _MARGIN * ranked[1][0]:
        return None
    return ranked[0][1] if _is_about(said, ranked[0][1]) else None


def asks_for_release(question: str) -> bool:
    """Whether a person wants to have done with the agent that keeps the conversation, and says only that."""
    return _RELEASE.fullmatch(" ".join(words(question))) is not None


def _score(said: Sequence[str], spec: AgentSpec) -> float:
    if spec.routing.telling.isdisjoint(said):
        return 0.0  # so it is with nearly all of them
    phrases = set(_said_of(spec, said))
    # Of "weather forecast" and "forecast" only the longer one counts.
    found = {p for p in phrases if not any(p != other and _places(p, other) for other in phrases)}
    return max(_likeness(said, spec), float(sum(min(len(phrase), _PHRASE_WORDS) for phrase in found)))


def _is_about(said: Sequence[str], spec: AgentSpec) -> bool:
    """Whether a request comes to one of its phrases at once: further on, that is part of something else."""
    if _likeness(said, spec):
        return True
    places = [place for phrase in _said_of(spec, said) for place in _places(phrase, said)]
    return _OPENERS.issuperset(said[: min(places)])


def _likeness(said: Sequence[str], spec: AgentSpec) -> float:
    mine = frozenset(said)
    most = max((_in_common(mine, sentence) for sentence in spec.routing.sentences), default=0.0)
    return _EXAMPLE * most if most >= LIKE_AN_EXAMPLE else 0.0


def _said_of(spec: AgentSpec, said: Sequence[str]) -> list[tuple[str, ...]]:
    """The agent's phrases that stand in a request. Most are ruled out by their words alone."""
    mine = frozenset(said)
    return [p for p in spec.routing.phrases if mine.issuperset(p) and _places(p, said)]


def _places(phrase: Sequence[str], said: Sequence[str]) -> list[int]:
    """Where a phrase stands."""
    size = len(phrase)
    ends = range(len(said) - size + 1) if size else ()
    return [at for at in ends if tuple(said[at : at + size]) == tuple(phrase)]


def _in_common(one: frozenset[str], other: frozenset[str]) -> float:
    """0..1: the words of both, of all (Dice, 1945)."""
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0
