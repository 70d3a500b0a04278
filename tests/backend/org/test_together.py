"""Org files beside the backend's other tools."""

from pathlib import Path

import grpc

from tests.backend.documents.backend import running


async def test_documents_of_both_kinds_are_opened_by_their_ids(dsn: str, root: Path) -> None:
    async with running(dsn, schema="backend", org_root=str(root)) as backend:
        stored = await backend.add("roses.md", "# Roses\n\nCut them in March.")
        await backend.ask("AppendOrgInboxText", text="* TODO Cut the roses")
        found = (await backend.ask("SearchOrgFiles", query="roses")).results[0].document_id
        contents = [
            (await backend.ask("GetDocumentContent", document_id=one)).content for one in (stored, found)
        ]
        for one in (stored, found):
            assert (await backend.ask("GetDocument", document_id=one)).document_id == one
            assert (
                await backend.refused("GetDocument", "bob", document_id=one)
            ).code is grpc.StatusCode.NOT_FOUND
    assert contents == ["# Roses\n\nCut them in March.", "* TODO Cut the roses\n"]


async def test_without_a_directory_the_org_tools_are_off(dsn: str) -> None:
    async with running(dsn, schema="backend") as backend:
        refused = await backend.refused("ListOrgInboxItems")
        assert refused.code is grpc.StatusCode.UNIMPLEMENTED
