"""Vectors of passages by pgvector, where Postgres has it and an embedding model is configured.

Distances are computed for all of a user's passages: exact, and quick up to some ten thousand of them. An
index would need a fixed dimension, and would find less where a filter leaves out most.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

import asyncpg

from backend.endpoint import EndpointError
from backend.store.database import Database
from backend.store.filters import CONDITION, Filters
from backend.store.search import Ranked

logger = logging.getLogger(__name__)

_BATCH = 64
_TABLE = """
CREATE TABLE IF NOT EXISTS passage_vectors (
    passage_id bigint NOT NULL REFERENCES passages ON DELETE CASCADE,
    model text NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (passage_id, model)
)
"""
_MISSING = """
SELECT passage_id, d.title || E'\n' || heading || E'\n' || body AS text
FROM passages p JOIN documents d USING (document_id)
WHERE passage_id > $2
AND NOT EXISTS (SELECT FROM passage_vectors v WHERE v.passage_id = p.passage_id AND v.model = $1)
ORDER BY passage_id LIMIT $3
"""
# A passage may have been replaced while its vector was made.
_PUT = """
INSERT INTO passage_vectors (passage_id, model, embedding)
SELECT g.passage_id, $1, g.embedding::vector
FROM unnest($2::bigint[], $3::text[]) AS g (passage_id, embedding)
JOIN passages USING (passage_id) ON CONFLICT DO NOTHING
"""
_NEAREST = f"""
WITH near AS (
    SELECT p.document_id, p.passage_id, v.embedding <=> $8::vector AS distance
    FROM passage_vectors v JOIN passages p USING (passage_id) JOIN documents d USING (document_id)
    WHERE p.user_id = $1 AND v.model = $9 AND vector_dims(v.embedding) = vector_dims($8::vector)
    AND {CONDITION}
    ORDER BY distance LIMIT $10
), best AS (SELECT DISTINCT ON (document_id) * FROM near ORDER BY document_id, distance)
SELECT document_id, passage_id, greatest(0, 1 - distance) AS score FROM best ORDER BY distance, document_id
"""  # noqa: S608 - no part of it comes from outside


class Embeddings(Protocol):
    """An embedding model."""

    @property
    def model(self) -> str:
        """Its name: vectors of different models are not compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text. Raises: EndpointError."""
        ...


class PassageVectors:
    """Vectors of all users' passages. `prepared` says whether Postgres can keep them."""

    def __init__(self, database: Database, embeddings: Embeddings, *, most_passages: int = 50) -> None:
        self._database = database
        self._embeddings = embeddings
        self._most_passages = most_passages

    async def prepared(self) -> bool:
        """Make what vectors need; False = this Postgres has no pgvector, or does not let us use it."""
        try:
            async with self._database.transaction() as connection:
                await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('vectors', 2))")
                if not await connection.fetchval("SELECT to_regtype('vector')"):
                    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
                await connection.execute(_TABLE)
        except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError) as error:
            logger.warning("no vectors: searching by words only", extra={"reason": type(error).__name__})
            return False
        return True

    async def fill(self) -> int:
        """Make the vectors that are missing; how many. What the model fails at is left for the next time.

        Raises: StoreUnavailableError.
        """
        made, after = 0, 0
        while True:
            async with self._database.connection() as connection:
                rows = await connection.fetch(_MISSING, self._embeddings.model, after, _BATCH)
            if not rows:
                return made
            try:
                vectors = await self._embeddings.embed([row["text"] for row in rows])
            except EndpointError as error:
                logger.warning("vectors are still missing", extra={"reason": str(error)})
                return made
            ids = [row["passage_id"] for row in rows]
            async with self._database.connection() as connection:
                await connection.execute(
                    _PUT, self._embeddings.model, ids, [_literal(one) for one in vectors]
                )
            made, after = made + len(rows), ids[-1]

    async def nearest(self, user: str, query: str, filters: Filters, limit: int) -> Sequence[Ranked] | None:
        """As `Nearest`. None when the model does not answer."""
        try:
            vectors = await self._embeddings.embed([query])
        except EndpointError as error:
            logger.warning("searching by words only", extra={"reason": str(error)})
            return None
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _NEAREST,
                user,
                *filters.arguments(),
                _literal(vectors[0]),
                self._embeddings.model,
                min(limit, self._most_passages),
            )
        return [Ranked(row["document_id"], row["passage_id"], float(row["score"])) for row in rows]


def _literal(vector: Sequence[float]) -> str:
    return "[" + ",".join(map(repr, vector)) + "]"
