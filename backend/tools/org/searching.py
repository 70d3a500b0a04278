"""Entries of org files that hold the words of a query, best first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.tools.org.lines import Lines
from backend.tools.org.listing import facts, shortened
from backend.tools.org.outline import Entry, Outline, outline
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import InvalidArgumentError

TYPES = ("todos", "headings", "content")
DOCUMENT_PREFIX = "org:"
"""Of the id of an org file as a document; its path in the user's folder follows."""

_LONGEST_CONTENT = 1000
_MOST_TERMS = 20


@dataclass(frozen=True, slots=True)
class Query:
    """`terms` in lower case; one like `:work:` is a tag. `types` says where they are looked for."""

    terms: tuple[str, ...]
    types: frozenset[str]

    def scored(self, heading: str, content: str, tags: Sequence[str]) -> int:
        """0 unless at least half of the terms are there; those in the heading count twice."""
        in_heading = [term for term in self.terms if term in heading or term.strip(":") in tags]
        in_content = [term for term in self.terms if term in content]
        if len({*in_heading, *in_content}) * 2 < len(self.terms):
            return 0
        return 1 + 2 * len(in_heading) + len(in_content)


@dataclass(frozen=True, slots=True)
class Hit:
    """`rank` sorts the best first."""

    rank: tuple[int, bool]
    result: pb.OrgSearchResult


def query_of(text: str, types: Iterable[str]) -> Query:
    """What a request asks.

    Raises:
        InvalidArgumentError: A type is none, or nothing is asked for. All TODOs may be, without a word.
    """
    wanted = frozenset(types) or frozenset(TYPES)
    if not wanted <= set(TYPES):
        raise InvalidArgumentError("search_types are todos, headings and content.", field="search_types")
    terms = tuple(dict.fromkeys(text.casefold().split()))[:_MOST_TERMS]
    if not terms and wanted != {"todos"}:
        raise InvalidArgumentError("query is empty.", field="query")
    return Query(terms, wanted)


def hits(name: str, text: str, query: Query) -> list[Hit]:
    """Those of one file, by its path in the user's folder."""
    folded = text.casefold()
    if query.terms and not any(term.strip(":") in folded for term in query.terms):
        return []  # before it is taken apart, which takes longer
    read = outline(Lines.of(text))
    found = [_hit(name, read, entry, query) for entry in read.entries]
    return [hit for hit in (_preamble(name, read, query), *found) if hit is not None]


def _hit(name: str, read: Outline, entry: Entry, query: Query) -> Hit | None:
    headline = entry.headline
    text = "\n".join(read.text(entry)).strip("\n")
    is_todo = "todos" in query.types and bool(headline.todo)
    heading = headline.titled.casefold() if is_todo or "headings" in query.types else ""
    content = text.casefold() if is_todo or "content" in query.types else ""
    if query.types == {"todos"} and not is_todo:
        return None
    tags = [tag.casefold() for tag in (*headline.tags, *entry.inherited)] if heading else []
    score = query.scored(heading, content, tags)
    if not score:
        return None
    known = facts(read, entry)
    if entry.path:
        known["outline"] = " / ".join(entry.path)
    result = _result(name, headline.title, text, entry.line, known)
    return Hit((-score, read.keywords.is_done(headline.todo)), result)


def _preamble(name: str, read: Outline, query: Query) -> Hit | None:
    texts = read.lines.texts[: read.preamble]
    if "content" not in query.types or not texts:
        return None
    score = query.scored("", "\n".join(texts).casefold(), ())
    if not score:
        return None
    first = next(
        (at for at, text in enumerate(texts) if any(term in text.casefold() for term in query.terms)), 0
    )
    return Hit((-score, False), _result(name, "", "\n".join(texts[first:]), first, {}))


def _result(name: str, heading: str, content: str, line: int, known: dict[str, str]) -> pb.OrgSearchResult:
    return pb.OrgSearchResult(
        document_id=DOCUMENT_PREFIX + name,
        document_name=name,
        heading=heading,
        content=shortened(content, _LONGEST_CONTENT),
        line_number=line + 1,
        metadata=known,
    )
