"""SearchEntities and GetEntity."""

from backend.store.entities import EntityStore, StoredEntity
from backend.store.text import bounded, searchable
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, Owned

_FOUND, _MOST_FOUND = 20, 100
_MOST_TYPES = 20


class EntityTools:
    """People, places, organisations and works that a user's documents declare."""

    def __init__(self, store: EntityStore) -> None:
        self._store = store

    async def search_entities(self, call: Call, request: pb.EntitySearchRequest) -> pb.EntitySearchResponse:
        """Raises: InvalidArgumentError: There is neither a query nor a type."""
        types = [searchable(one.lower(), "entity_types") for one in request.entity_types[:_MOST_TYPES]]
        query = searchable(request.query)
        if not query and not types:
            raise InvalidArgumentError("A query or a type is needed.", field="query")
        limit = bounded(request.limit, default=_FOUND, most=_MOST_FOUND)
        found = await self._store.search(call.user, query, types, limit)
        return pb.EntitySearchResponse(entities=map(_entity, found))

    async def get_entity(self, call: Call, request: pb.EntityRequest) -> Owned[pb.EntityResponse] | None:
        """An entity with the documents that declare it or have its name in their text."""
        found = await self._store.get(request.entity_id)
        if found is None or found.owner != call.user:
            return None
        related = await self._store.related(found)
        return Owned(found.owner, pb.EntityResponse(entity=_entity(found), related_documents=related))


def _entity(found: StoredEntity) -> pb.Entity:
    properties = {"roles": ", ".join(found.roles), "declared_in": str(found.documents)}
    return pb.Entity(
        entity_id=found.entity_id, entity_type=found.entity_type, name=found.name, properties=properties
    )
