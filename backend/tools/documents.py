"""SearchDocuments, GetDocument, GetDocumentContent; described: the tags that a search can be narrowed by."""

from typing import Any

from backend.store.documents import DocumentStore, StoredDocument
from backend.store.filters import filters_of
from backend.store.search import DocumentSearch
from backend.store.text import bounded, searchable
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import (
    Call,
    DescribedTools,
    Hints,
    InvalidArgumentError,
    Output,
    Owned,
)

_HITS, _MOST_HITS = 10, 50
_MOST_TAGS = 200
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


class DocumentTools:
    """A user's documents."""

    def __init__(self, store: DocumentStore, search: DocumentSearch) -> None:
        self._store = store
        self._search = search

    async def search_documents(self, call: Call, request: pb.SearchRequest) -> pb.SearchResponse:
        """Raises: InvalidArgumentError: There is neither a query nor a filter, or one is none."""
        query, filters = searchable(request.query), filters_of(request.filters)
        if not query and not filters.given:
            raise InvalidArgumentError("A query or a filter is needed.", field="query")
        limit = bounded(request.limit, default=_HITS, most=_MOST_HITS)
        found = await self._search.search(call.user, query, filters, limit)
        hits = [
            pb.DocumentResult(
                document_id=hit.document_id,
                title=hit.title,
                filename=hit.filename,
                content_preview=hit.preview,
                relevance_score=min(hit.score, 1.0),
                metadata=_told(
                    search=found.how, heading=hit.heading, tags=", ".join(hit.tags), format=hit.format
                ),
            )
            for hit in found.hits
        ]
        return pb.SearchResponse(results=hits, total_count=found.total)

    async def get_document(
        self, _call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentResponse] | None:
        """A document without its text."""
        found = await self._store.get(request.document_id)
        return None if found is None else Owned(found.owner, _response(found))

    async def get_document_content(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentContentResponse] | None:
        """A document's text, as it was stored."""
        found = await self._store.get(request.document_id)
        if found is None or found.owner != call.user:
            return None  # megabytes of another user's text are not even read
        content = await self._store.content(found.document_id)
        response = pb.DocumentContentResponse(
            document_id=found.document_id, content=content, format=found.format
        )
        return Owned(found.owner, response)

    def describe(self, tools: DescribedTools) -> None:
        """Add `list_document_tags`."""

        @tools.tool(
            "Lists the tags of the user's documents with how many have each. Narrow search_documents with "
            "filters as tag:NAME, -tag:NAME, format:html, author:NAME or any key of a document's metadata.",
            _NO_ARGUMENTS,
            Hints(read_only=True, idempotent=True),
        )
        async def list_document_tags(call: Call, _arguments: dict[str, Any]) -> Output:
            tags = await self._store.tags(call.user, _MOST_TAGS)
            return Output(data={"tags": [{"tag": tag, "documents": count} for tag, count in tags]})


def _response(found: StoredDocument) -> pb.DocumentResponse:
    return pb.DocumentResponse(
        document_id=found.document_id,
        title=found.title,
        filename=found.filename,
        content_type=found.content_type,
        metadata={**found.metadata, **_told(tags=", ".join(found.tags))},
    )


def _told(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
