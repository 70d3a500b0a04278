"""Org files as documents, by the ids that a search has told."""

import re

from backend.store.documents import DocumentStore
from backend.store.search import DocumentSearch
from backend.tools.documents import DocumentTools
from backend.tools.org.folder import Folder
from backend.tools.org.searching import DOCUMENT_PREFIX
from backend.tools.org.store import OrgStore
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, Owned

_TITLE = re.compile(r"^#\+TITLE:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)


class OrgDocuments:
    """GetDocument and GetDocumentContent for ids that begin with `org:`; None for all others.

    An id is looked up in the folder of who asks and nowhere else.
    """

    def __init__(self, store: OrgStore) -> None:
        self._store = store

    async def get_document(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentResponse] | None:
        name, text = await self._found(call, request.document_id)
        if text is None:
            return None
        filename = name.rsplit("/", 1)[-1]
        title = _TITLE.search(text)
        response = pb.DocumentResponse(
            document_id=request.document_id,
            title=title[1].strip() if title else filename,
            filename=filename,
            content_type="text/org",
        )
        return Owned(call.user, response)

    async def get_document_content(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentContentResponse] | None:
        _, text = await self._found(call, request.document_id)
        if text is None:
            return None
        response = pb.DocumentContentResponse(document_id=request.document_id, content=text, format="text")
        return Owned(call.user, response)

    async def _found(self, call: Call, document_id: str) -> tuple[str, str | None]:
        if not document_id.startswith(DOCUMENT_PREFIX):
            return "", None
        name = document_id.removeprefix(DOCUMENT_PREFIX)

        def read(folder: Folder) -> str | None:
            return folder.read(name)

        return name, await self._store.read(call.user, read, None)


class DocumentsAndOrgFiles(DocumentTools):
    """A user's documents, and those of the org folder by what a search of it has told."""

    def __init__(self, store: DocumentStore, search: DocumentSearch, org: OrgDocuments) -> None:
        super().__init__(store, search)
        self._org = org

    async def get_document(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentResponse] | None:
        if request.document_id.startswith(DOCUMENT_PREFIX):
            return await self._org.get_document(call, request)
        return await super().get_document(call, request)

    async def get_document_content(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentContentResponse] | None:
        if request.document_id.startswith(DOCUMENT_PREFIX):
            return await self._org.get_document_content(call, request)
        return await super().get_document_content(call, request)
