"""Searching a user's documents: by their words, and by what they mean where vectors are kept.

By words: passages that have any of the query's words, those with all of them first. By meaning: the nearest
passages. Both are merged by reciprocal ranks, which need no common scale of their scores.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from backend.store.database import Database
from backend.store.filters import CONDITION, Filters

if TYPE_CHECKING:
    from asyncpg import Record

    from backend.store.database import Connection

How = Literal["full_text", "hybrid", "newest"]

_MOST_CANDIDATES = 200
_DEMANDS = re.compile(r'"|(?:^|\s)-\w')
"""Quotes and a minus demand certain words, which a meaning does not know of."""
_RANK_OFFSET = 60
"""The usual constant of reciprocal rank fusion: how much a first place is worth beside a tenth."""

# websearch_to_tsquery takes whatever text. Its words are joined by " & "; no word of it can hold a blank.
_ASKED = """
asked AS (
    SELECT strict, CASE WHEN strict::text LIKE '%!%' THEN strict
        ELSE replace(strict::text, ' & ', ' | ')::tsquery END AS loose
    FROM websearch_to_tsquery('english', $8) AS strict
)
"""
_BY_WORDS = f"""
WITH {_ASKED}, found AS (
    SELECT p.document_id, p.passage_id,
        (p.search @@ strict)::int / 2.0 + least(ts_rank(p.search, loose, 1), 1) / 2.0 AS score
    FROM asked, passages p JOIN documents d USING (document_id)
    WHERE p.user_id = $1 AND p.search @@ loose AND {CONDITION}
), best AS (
    SELECT DISTINCT ON (document_id) * FROM found ORDER BY document_id, score DESC, passage_id
)
SELECT document_id, passage_id, score, count(*) OVER ()::int AS total
FROM best ORDER BY score DESC, document_id LIMIT $9
"""  # noqa: S608 - no part of it comes from outside
_NEWEST = f"""
SELECT d.document_id, p.passage_id, 0 AS score, count(*) OVER ()::int AS total
FROM documents d JOIN passages p ON p.document_id = d.document_id AND p.ordinal = 0
WHERE {CONDITION} ORDER BY d.updated_at DESC, d.document_id LIMIT $8
"""  # noqa: S608
_SHOW = """
SELECT d.document_id, d.title, d.filename, d.format, d.tags, p.heading,
    ts_headline('english', p.body, websearch_to_tsquery('english', $2),
        'StartSel=**, StopSel=**, MaxFragments=2, MinWords=12, MaxWords=40') AS preview
FROM passages p JOIN documents d USING (document_id) WHERE p.passage_id = ANY ($1::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document by its best passage; `score` is 0..1."""

    document_id: UUID
    passage_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A document as a search shows it. `preview` has the query's words between ** and **."""

    document_id: str
    title: str
    filename: str
    preview: str
    score: float
    heading: str
    format: str
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """`total`: of all, also those beyond the limit."""

    hits: Sequence[Hit]
    total: int
    how: How


class Nearest(Protocol):
    """Search by meaning."""

    async def nearest(self, user: str, query: str, filters: Filters, limit: int) -> Sequence[Ranked] | None:
        """Documents with the passages nearest to the query, best first; None = it cannot be told now."""
        ...


class DocumentSearch:
    """Searches. Without `vectors` by words alone."""

    def __init__(self, database: Database, vectors: Nearest | None = None) -> None:
        self._database = database
        self._vectors = vectors

    async def search(self, user: str, query: str, filters: Filters, limit: int) -> Found:
        """The user's documents, best first; with an empty query the newest that fit the filters.

        Raises: StoreUnavailableError.
        """
        near: Sequence[Ranked] | None = None
        if self._vectors is not None and query and not _DEMANDS.search(query):
            near = await self._vectors.nearest(user, query, filters, _MOST_CANDIDATES)
        async with self._database.connection() as connection:
            if not query:
                rows = await connection.fetch(_NEWEST, user, *filters.arguments(), limit)
            else:
                rows = await connection.fetch(_BY_WORDS, user, *filters.arguments(), query, _MOST_CANDIDATES)
            ranked = [Ranked(row["document_id"], row["passage_id"], float(row["score"])) for row in rows]
            total = rows[0]["total"] if rows else 0
            if near is not None:
                ranked, total = merged(ranked, near), total + beyond(near, ranked)
            hits = await _shown(connection, ranked[:limit], query)
        return Found(hits, total, "newest" if not query else "full_text" if near is None else "hybrid")


def merged(words: Sequence[Ranked], meaning: Sequence[Ranked]) -> list[Ranked]:
    """Both by reciprocal ranks; 1 = first in both. The passage shown is that with the words, if any."""
    scores: dict[UUID, float] = {}
    passages: dict[UUID, int] = {}
    for ranked in (words, meaning):
        for place, one in enumerate(ranked, 1):
            share = (_RANK_OFFSET + 1) / (_RANK_OFFSET + place) / 2
            scores[one.document_id] = scores.get(one.document_id, 0.0) + share
            passages.setdefault(one.document_id, one.passage_id)
    best = sorted(scores.items(), key=lambda item: (-item[1], str(item[0])))
    return [Ranked(document_id, passages[document_id], score) for document_id, score in best]


def beyond(meaning: Sequence[Ranked], words: Sequence[Ranked]) -> int:
    """How many documents only their meaning has found."""
    return len({one.document_id for one in meaning} - {one.document_id for one in words})


async def _shown(connection: "Connection", ranked: Sequence[Ranked], query: str) -> list[Hit]:
    rows = await connection.fetch(_SHOW, [one.passage_id for one in ranked], query)
    by_id = {row["document_id"]: row for row in rows}
    # One may have been deleted between the two statements.
    return [_hit(by_id[one.document_id], one.score) for one in ranked if one.document_id in by_id]


def _hit(row: "Record", score: float) -> Hit:
    return Hit(
        document_id=str(row["document_id"]),
        title=row["title"],
        filename=row["filename"],
        preview=row["preview"],
        score=score,
        heading=row["heading"],
        format=row["format"],
        tags=row["tags"],
    )
