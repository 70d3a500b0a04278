"""Who answers a request: docs/agents.md says in which order what counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from agents.hints import asks_for_release, plain, scores
from agents.loader import AgentCatalog
from agents.spec import AgentSpec

_CLEARLY = 3.0
"""What an agent needs to take a conversation away from another one: more than to be plain."""


class RouteReason(StrEnum):
    """Why an agent answers."""

    EXPLICIT = "explicit"
    LOCKED = "locked"
    EDITOR = "editor"
    KEYWORDS = "keywords"
    CLASSIFIER = "classifier"
    CLASSIFIER_INVALID = "classifier_invalid"
    CLASSIFIER_FAILED = "classifier_failed"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class EditorHint:
    """What is open beside the conversation. `preferred`: the caller says that the request is about it."""

    type: str = ""
    language: str = ""
    filename: str = ""
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class RouteWish:
    """What a request says of who is to answer. `document` None: nothing is open, or it is to be ignored."""

    agent_type: str = ""
    locked_agent: str = ""
    document: EditorHint | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """Who answers, and why."""

    spec: AgentSpec
    reason: RouteReason


@dataclass(frozen=True, slots=True)
class Undecided:
    """A model is to choose one of these; `fallback` answers if it cannot."""

    candidates: tuple[AgentSpec, ...]
    fallback: AgentSpec


def route(
    catalog: AgentCatalog,
    wish: RouteWish,
    question: str,
    *,
    able: Callable[[AgentSpec], bool],
    classifies: bool,
) -> Routed | Undecided:
    """Who answers, as far as that can be told without a model.

    Whoever is not asked for by name has to be `able` to. `classifies`: there is a model to choose among more.

    Raises:
        InvalidRequestError: An agent that was asked for does not exist.
    """
    locked = catalog.wanted(wish.locked_agent, "locked_agent")
    if (spec := catalog.wanted(wish.agent_type, "agent_type")) is not None:
        return Routed(spec, RouteReason.EXPLICIT)
    others = [spec for spec in catalog.specs if spec is not locked]
    if locked is not None and not _released(locked, others, question, able):
        return Routed(locked, RouteReason.LOCKED)
    meant = plain(question, others, able=able)
    if wish.document is None and not classifies:  # most of them need not be looked at
        return Routed(catalog.default, RouteReason.DEFAULT) if meant is None else _plainly(meant)
    candidates = tuple(spec for spec in others if able(spec))
    openers = [spec for spec in candidates if wish.document and opens(spec, wish.document)]
    if wish.document and openers and (wish.document.preferred or meant is None or meant in openers):
        if (opener := _opener(openers, question)) is not None:
            return Routed(opener, RouteReason.EDITOR)
        candidates = tuple(spec for spec in candidates if spec in openers or spec is catalog.default)
        meant = None
    if meant is not None:
        return _plainly(meant)
    choosable = classifies and candidates not in ((), (catalog.default,))
    default = Routed(catalog.default, RouteReason.DEFAULT)
    return Undecided(candidates, catalog.default) if choosable else default


def _plainly(meant: AgentSpec) -> Routed:
    return Routed(meant, RouteReason.KEYWORDS)


def opens(spec: AgentSpec, document: EditorHint) -> bool:
    """Whether the agent works on such documents."""
    for entry in map(str.casefold, spec.routing.editor_types):
        if "*" in entry or entry.startswith("."):
            pattern = f"*{entry}" if entry.startswith(".") else entry
            if fnmatchcase(document.filename.casefold(), pattern):
                return True
        elif entry in (document.type.casefold(), document.language.casefold()):
            return True
    return False


def lock_after(wish: RouteWish, spec: AgentSpec) -> str | None:
    """Which agent keeps the conversation now; empty = it was released, None = there is nothing to say."""
    kept = wish.locked_agent in (spec.name, *spec.aliases)
    if kept or spec.routing.locks:
        return spec.name
    return "" if wish.locked_agent else None


def _released(
    locked: AgentSpec, others: Sequence[AgentSpec], question: str, able: Callable[[AgentSpec], bool]
) -> bool:
    if asks_for_release(question):
        return True
    other = plain(question, others, least=_CLEARLY, able=able)
    return other is not None and not scores(question, [locked])[locked.name]


def _opener(openers: Sequence[AgentSpec], question: str) -> AgentSpec | None:
    """The one that a request about the open document is for; None where that is to be asked."""
    return openers[0] if len(openers) == 1 else plain(question, openers, least=1.0)
