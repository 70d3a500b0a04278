"""Entities that a user's documents declare, and which documents name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.store.database import Database
from backend.store.documents import uuid_of

if TYPE_CHECKING:
    from asyncpg import Record

_ENTITY = """
e.entity_id, e.user_id, e.entity_type, e.name,
(SELECT array_agg(DISTINCT role) FROM declarations x WHERE x.entity_id = e.entity_id) AS roles,
(SELECT count(DISTINCT document_id)::int FROM declarations x WHERE x.entity_id = e.entity_id) AS documents
"""
# The name itself as one word of the query, or all of the query's words in the name, or part of the name.
_SEARCH = f"""
SELECT {_ENTITY} FROM entities e
WHERE e.user_id = $1 AND ($3::text[] = '{{}}' OR e.entity_type = ANY ($3))
AND ($2 = '' OR strpos(lower(e.name), lower($2)) > 0
    OR to_tsvector('simple', e.name) @@ plainto_tsquery('simple', $2)
    OR to_tsvector('simple', $2) @@ phraseto_tsquery('simple', e.name))
ORDER BY (lower(e.name) = lower($2)) DESC, documents DESC, e.name, e.entity_id LIMIT $4
"""  # noqa: S608 - no part of it comes from outside
# The index finds passages with the name's words in its order; that they are this name, the text says.
_RELATED = """
SELECT document_id FROM (
    SELECT document_id FROM declarations WHERE entity_id = $1
    UNION
    SELECT p.document_id FROM passages p WHERE p.user_id = $2
    AND p.search @@ phraseto_tsquery('english', $3)
    AND strpos(regexp_replace(lower(p.body), '\\s+', ' ', 'g'), lower($3)) > 0
) AS related JOIN documents d USING (document_id) ORDER BY d.title, document_id LIMIT $4
"""
_MOST_RELATED = 200


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """`roles`: the keys under which documents name it; `documents`: how many do so there."""

    owner: str
    entity_id: str
    entity_type: str
    name: str
    roles: Sequence[str]
    documents: int


class EntityStore:
    """Entities of all users; each is one user's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, user: str, query: str, types: Sequence[str], limit: int) -> Sequence[StoredEntity]:
        """The user's entities that fit, or that the query names; all types if there are none."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_SEARCH, user, query, list(types), limit)
        return [_entity(row) for row in rows]

    async def get(self, entity_id: str) -> StoredEntity | None:
        """An entity, whoever has it; None = there is none."""
        key = uuid_of(entity_id)
        if key is None:
            return None
        query = f"SELECT {_ENTITY} FROM entities e WHERE e.entity_id = $1"  # noqa: S608
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query, key)
        return None if row is None else _entity(row)

    async def related(self, entity: StoredEntity) -> Sequence[str]:
        """The ids of its owner's documents that declare it or have its name in their text, by title."""
        key = uuid_of(entity.entity_id)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_RELATED, key, entity.owner, entity.name, _MOST_RELATED)
        return [str(row["document_id"]) for row in rows]


def _entity(row: "Record") -> StoredEntity:
    return StoredEntity(
        owner=row["user_id"],
        entity_id=str(row["entity_id"]),
        entity_type=row["entity_type"],
        name=row["name"],
        roles=row["roles"] or (),
        documents=row["documents"],
    )
