"""The user's org-mode files and inbox."""

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.errors import UnimplementedError


class OrgHandlers:
    """Write those that the backend has. The inbox is that of `call.user`.

    When a request has `expected_text` and the line reads otherwise, raise FailedPreconditionError.
    """

    async def search_org_files(self, call: Call, request: pb.OrgSearchRequest) -> pb.OrgSearchResponse:
        """Hits in the org files of `call.user`."""
        raise UnimplementedError("SearchOrgFiles")

    async def get_org_inbox_items(self, call: Call, request: pb.OrgInboxRequest) -> pb.OrgInboxResponse:
        """The newest entries of the inbox."""
        raise UnimplementedError("GetOrgInboxItems")

    async def list_org_inbox_items(
        self, call: Call, request: pb.ListOrgInboxItemsRequest
    ) -> pb.ListOrgInboxItemsResponse:
        """All lines of the inbox, with the index that the methods below take."""
        raise UnimplementedError("ListOrgInboxItems")

    async def add_org_inbox_item(
        self, call: Call, request: pb.AddOrgInboxItemRequest
    ) -> pb.AddOrgInboxItemResponse:
        """Add an entry."""
        raise UnimplementedError("AddOrgInboxItem")

    async def toggle_org_inbox_item(
        self, call: Call, request: pb.ToggleOrgInboxItemRequest
    ) -> pb.ToggleOrgInboxItemResponse:
        """Mark an entry done, or open again."""
        raise UnimplementedError("ToggleOrgInboxItem")

    async def update_org_inbox_item(
        self, call: Call, request: pb.UpdateOrgInboxItemRequest
    ) -> pb.UpdateOrgInboxItemResponse:
        """Rewrite an entry."""
        raise UnimplementedError("UpdateOrgInboxItem")

    async def set_org_inbox_schedule(
        self, call: Call, request: pb.SetOrgInboxScheduleRequest
    ) -> pb.SetOrgInboxScheduleResponse:
        """Set when an entry is scheduled."""
        raise UnimplementedError("SetOrgInboxSchedule")

    async def apply_org_inbox_tags(
        self, call: Call, request: pb.ApplyOrgInboxTagsRequest
    ) -> pb.ApplyOrgInboxTagsResponse:
        """Set the tags of an entry."""
        raise UnimplementedError("ApplyOrgInboxTags")

    async def archive_org_inbox_done(
        self, call: Call, request: pb.ArchiveOrgInboxDoneRequest
    ) -> pb.ArchiveOrgInboxDoneResponse:
        """Move all done entries to the archive."""
        raise UnimplementedError("ArchiveOrgInboxDone")

    async def append_org_inbox_text(
        self, call: Call, request: pb.AppendOrgInboxTextRequest
    ) -> pb.AppendOrgInboxTextResponse:
        """Append text as it is."""
        raise UnimplementedError("AppendOrgInboxText")

    async def get_org_inbox_path(
        self, call: Call, request: pb.GetOrgInboxPathRequest
    ) -> pb.GetOrgInboxPathResponse:
        """Where the inbox is."""
        raise UnimplementedError("GetOrgInboxPath")
