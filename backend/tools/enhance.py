"""ExpandQuery and SearchConversationCache."""

from datetime import UTC, datetime

from backend.store.conversations import ConversationStore, Said
from backend.store.entities import EntityStore
from backend.store.text import searchable
from backend.tools.expansion import Expander
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, Owned

_VARIATIONS, _MOST_VARIATIONS = 3, 10
_MOST_KNOWN = 10
_MOST_ENTRIES = 10
_ENTRY_CHARACTERS = 4000
_MOST_HOURS = 24 * 366 * 100
_USER = "user"


class QueryTools:
    """Other ways to put a query."""

    def __init__(self, expander: Expander, entities: EntityStore) -> None:
        self._expander = expander
        self._entities = entities

    async def expand_query(self, call: Call, request: pb.QueryExpansionRequest) -> pb.QueryExpansionResponse:
        """Raises: InvalidArgumentError: There is no query, or it is too long."""
        query = _needed(request.query)
        count = min(request.num_variations or _VARIATIONS, _MOST_VARIATIONS)
        fitting = await self._entities.search(call.user, query, (), _MOST_KNOWN)
        known = [one.name for one in fitting if one.name.lower() in query.lower()]
        found = await self._expander.expand(query, count, known)
        return pb.QueryExpansionResponse(
            original_query=request.query,
            expanded_queries=found.queries,
            key_entities=found.entities,
            expansion_count=len(found.queries),
        )


class ConversationTools:
    """What was said before in the user's conversations."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store

    async def search_conversation_cache(
        self, call: Call, request: pb.CacheSearchRequest
    ) -> Owned[pb.CacheSearchResponse] | None:
        """Messages of one conversation, or of all of the user's when none is named.

        Raises:
            InvalidArgumentError: There is no query, or it is too long.
        """
        query, conversation_id = (
            _needed(request.query),
            searchable(request.conversation_id, "conversation_id"),
        )
        owner: str | None = call.user
        if conversation_id:
            owner = await self._store.owner(call.user, conversation_id)
        if owner is None:
            return None
        found = await self._store.search(
            owner,
            conversation_id,
            query,
            hours=min(request.freshness_hours, _MOST_HOURS),
            limit=_MOST_ENTRIES,
            characters=_ENTRY_CHARACTERS,
        )
        return Owned(owner, pb.CacheSearchResponse(entries=map(_entry, found), cache_hit=bool(found)))


def _entry(said: Said) -> pb.CacheEntry:
    return pb.CacheEntry(
        content=said.content,
        timestamp=rfc3339(said.said_at),
        agent_name=said.agent_name or (_USER if said.role == _USER else ""),
        relevance_score=min(said.score, 1.0),
    )


def rfc3339(moment: datetime) -> str:
    """A time as the contract has it, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _needed(query: str) -> str:
    found = searchable(query)
    if not found:
        raise InvalidArgumentError("A query is needed.", field="query")
    return found
