"""Tools of a backend whose documents and inbox are a test's own."""

from dataclasses import dataclass

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, ToolHandlers


@dataclass(frozen=True, slots=True)
class Document:
    """What a search finds, whatever is looked for."""

    document_id: str
    title: str
    text: str


class Shelf(ToolHandlers):
    """`documents` are everybody's; `written` is what went into an inbox, with whose it is."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.written: list[tuple[str, str]] = []

    async def search_documents(self, call: Call, request: pb.SearchRequest) -> pb.SearchResponse:
        hits = [
            pb.DocumentResult(document_id=d.document_id, title=d.title, content_preview=d.text)
            for d in self.documents
        ]
        return pb.SearchResponse(results=hits, total_count=len(hits))

    async def search_org_files(self, call: Call, request: pb.OrgSearchRequest) -> pb.OrgSearchResponse:
        return pb.OrgSearchResponse()

    async def add_org_inbox_item(
        self, call: Call, request: pb.AddOrgInboxItemRequest
    ) -> pb.AddOrgInboxItemResponse:
        self.written.append((call.user, request.text))
        return pb.AddOrgInboxItemResponse(success=True)
