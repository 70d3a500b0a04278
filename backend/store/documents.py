"""Documents: put, looked up, deleted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from backend.ingest.documents import Document
from backend.store.database import Database

if TYPE_CHECKING:
    from backend.store.database import Connection

_PUT = """
INSERT INTO documents (user_id, filename, title, content_type, format, content, metadata, tags, sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (user_id, filename) DO UPDATE SET
    title = excluded.title, content_type = excluded.content_type, format = excluded.format,
    content = excluded.content, metadata = excluded.metadata, tags = excluded.tags,
    sha256 = excluded.sha256, updated_at = now()
WHERE documents.sha256 <> excluded.sha256
RETURNING document_id
"""
# Title, then what it is about, then the heading, then the text: their weights make the ranking.
_PUT_PASSAGES = """
INSERT INTO passages (document_id, user_id, ordinal, heading, body, search)
SELECT $1, $2, ordinal - 1, heading, body,
    setweight(to_tsvector('english', $3), 'A') || setweight(to_tsvector('english', $4), 'B')
    || setweight(to_tsvector('english', heading), 'C') || setweight(to_tsvector('english', body), 'D')
FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS given (heading, body, ordinal)
"""
_PUT_ENTITIES = """
WITH given AS (
    SELECT DISTINCT ON (kind, lower(name)) kind, name FROM unnest($2::text[], $3::text[]) AS g (kind, name)
    ORDER BY kind, lower(name)
)
INSERT INTO entities (user_id, entity_type, name) SELECT $1, kind, name FROM given
ON CONFLICT (user_id, entity_type, lower(name)) DO NOTHING
"""
_DECLARE = """
INSERT INTO declarations (entity_id, document_id, role)
SELECT entity_id, $2, role FROM unnest($3::text[], $4::text[], $5::text[]) AS given (kind, name, role)
JOIN entities e ON e.user_id = $1 AND e.entity_type = kind AND lower(e.name) = lower(given.name)
ON CONFLICT DO NOTHING
"""
_FORGET_UNDECLARED = """
DELETE FROM entities e WHERE e.user_id = $1
AND NOT EXISTS (SELECT FROM declarations d WHERE d.entity_id = e.entity_id)
"""
_GET = "SELECT user_id, title, filename, content_type, format, metadata, tags FROM documents"


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A row without its text. `owner`: whose it is."""

    owner: str
    document_id: str
    title: str
    filename: str
    content_type: str
    format: str
    metadata: Mapping[str, str]
    tags: Sequence[str]


class DocumentStore:
    """Documents of all users; each is one user's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user: str, document: Document) -> str:
        """Store a document in place of the user's one of this filename, if any; its id, which stays.

        What is there already as it is, is left alone. Raises: StoreUnavailableError.
        """
        async with self._database.transaction() as connection:
            # One at a time for a user: entities are shared among that user's documents.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", user)
            document_id = await connection.fetchval(_PUT, user, *_columns(document))
            if document_id is None:
                found = "SELECT document_id FROM documents WHERE user_id = $1 AND filename = $2"
                return str(await connection.fetchval(found, user, document.filename))
            await self._put_parts(connection, user, document_id, document)
        return str(document_id)

    async def _put_parts(
        self, connection: "Connection", user: str, document_id: UUID, document: Document
    ) -> None:
        await connection.execute("DELETE FROM passages WHERE document_id = $1", document_id)
        await connection.execute("DELETE FROM declarations WHERE document_id = $1", document_id)
        about = " ".join((*document.tags, *document.metadata.values()))[:20_000]
        headings = [one.heading for one in document.passages] or [""]
        bodies = [one.body for one in document.passages] or [""]
        await connection.execute(_PUT_PASSAGES, document_id, user, document.title, about, headings, bodies)
        kinds = [one.entity_type for one in document.entities]
        names = [one.name for one in document.entities]
        roles = [one.role for one in document.entities]
        await connection.execute(_PUT_ENTITIES, user, kinds, names)
        await connection.execute(_DECLARE, user, document_id, kinds, names, roles)
        await connection.execute(_FORGET_UNDECLARED, user)

    async def get(self, document_id: str) -> StoredDocument | None:
        """A document, whoever has it; None = there is none."""
        key = uuid_of(document_id)
        if key is None:
            return None
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"{_GET} WHERE document_id = $1", key)
        if row is None:
            return None
        return StoredDocument(
            owner=row["user_id"],
            document_id=str(key),
            title=row["title"],
            filename=row["filename"],
            content_type=row["content_type"],
            format=row["format"],
            metadata=json.loads(row["metadata"]),
            tags=row["tags"],
        )

    async def content(self, document_id: str) -> str:
        """The text of a document that is known to be there; empty if it has gone since."""
        async with self._database.connection() as connection:
            query = "SELECT content FROM documents WHERE document_id = $1"
            return await connection.fetchval(query, UUID(document_id)) or ""

    async def delete(self, user: str, document_id: str) -> bool:
        """Whether the user had it. Entities that nothing declares any more go with it."""
        key = uuid_of(document_id)
        async with self._database.transaction() as connection:
            query = "DELETE FROM documents WHERE user_id = $1 AND document_id = $2 RETURNING true"
            gone = bool(key and await connection.fetchval(query, user, key))
            await connection.execute(_FORGET_UNDECLARED, user)
        return gone

    async def tags(self, user: str, limit: int) -> Sequence[tuple[str, int]]:
        """The tags of a user's documents with how many have them, the most used first."""
        query = """
            SELECT tag, count(*)::int AS documents FROM documents, unnest(tags) AS tag WHERE user_id = $1
            GROUP BY tag ORDER BY documents DESC, tag LIMIT $2
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, user, limit)
        return [(row["tag"], row["documents"]) for row in rows]


def uuid_of(text: str) -> UUID | None:
    """An id as it is in the database; None = it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _columns(document: Document) -> Iterator[object]:
    yield document.filename
    yield document.title
    yield document.content_type
    yield document.format
    yield document.content
    yield json.dumps(dict(document.metadata))
    yield list(document.tags)
    yield document.sha256
