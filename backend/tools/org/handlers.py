"""The Org RPCs over one folder of org files for each user."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from backend.tools.org.adding import Edited, NewEntry, added, appended
from backend.tools.org.archiving import archived
from backend.tools.org.editing import demand_line, retagged, scheduled, toggled, updated
from backend.tools.org.folder import Folder
from backend.tools.org.lines import Lines
from backend.tools.org.listing import entries_of, lines_of
from backend.tools.org.outline import Outline, outline
from backend.tools.org.search import search
from backend.tools.org.searching import query_of
from backend.tools.org.stamps import stamp_of
from backend.tools.org.store import OrgStore
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError

INBOX = "inbox.org"
ARCHIVE = "inbox.org_archive"

_USUAL = 20
_MOST = 100

T = TypeVar("T")


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class OrgTools:
    """All Org RPCs. `now` is the time in UTC, without a zone as org's timestamps are."""

    def __init__(self, store: OrgStore, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._now = now

    async def search_org_files(self, call: Call, request: pb.OrgSearchRequest) -> pb.OrgSearchResponse:
        query = query_of(request.query, request.search_types)
        limit = _limit(request.limit)
        nothing: list[pb.OrgSearchResult] = []
        found = await self._store.read(call.user, lambda folder: search(folder, query, limit), nothing)
        return pb.OrgSearchResponse(results=found)

    async def get_org_inbox_items(self, call: Call, request: pb.OrgInboxRequest) -> pb.OrgInboxResponse:
        inbox = await self._inbox(call)
        return pb.OrgInboxResponse(items=entries_of(inbox, _limit(request.limit)))

    async def list_org_inbox_items(
        self, call: Call, request: pb.ListOrgInboxItemsRequest
    ) -> pb.ListOrgInboxItemsResponse:
        inbox = await self._inbox(call)
        return pb.ListOrgInboxItemsResponse(success=True, path=INBOX, items=lines_of(inbox))

    async def add_org_inbox_item(
        self, call: Call, request: pb.AddOrgInboxItemRequest
    ) -> pb.AddOrgInboxItemResponse:
        if request.repeater and not request.schedule:
            raise InvalidArgumentError("A repeater needs a schedule.", field="repeater")
        new = NewEntry(
            kind=request.kind,
            text=request.text,
            created=self._now(),
            stamp=stamp_of(request.schedule, request.repeater, field="schedule")
            if request.schedule
            else None,
            tags=tuple(request.tags),
            properties=dict(request.contact_properties),
        )
        edited = await self._edit(call, lambda inbox: (added(inbox, new), None))
        return pb.AddOrgInboxItemResponse(
            success=True, line_index=edited.index, message=f"Added: {edited.lines.texts[edited.index]}"
        )

    async def toggle_org_inbox_item(
        self, call: Call, request: pb.ToggleOrgInboxItemRequest
    ) -> pb.ToggleOrgInboxItemResponse:
        def edit(inbox: Outline) -> tuple[Edited, str]:
            _demand(inbox, request)
            edited = toggled(inbox, request.line_index, self._now())
            at, lines = edited.index, edited.lines.texts
            # What repeats is open as before: the line below says that it was done.
            repeats = lines[at] == inbox.lines.texts[at]
            return edited, "\n".join(lines[at : at + 2]) if repeats else lines[at]

        edited, line = await self._edited(call, edit)
        return pb.ToggleOrgInboxItemResponse(success=True, updated_index=edited.index, new_line=line)

    async def update_org_inbox_item(
        self, call: Call, request: pb.UpdateOrgInboxItemRequest
    ) -> pb.UpdateOrgInboxItemResponse:
        def edit(inbox: Outline) -> tuple[Edited, None]:
            _demand(inbox, request)
            return updated(inbox, request.line_index, request.new_text), None

        edited = await self._edit(call, edit)
        line = edited.lines.texts[edited.index]
        return pb.UpdateOrgInboxItemResponse(success=True, updated_index=edited.index, new_line=line)

    async def set_org_inbox_schedule(
        self, call: Call, request: pb.SetOrgInboxScheduleRequest
    ) -> pb.SetOrgInboxScheduleResponse:
        stamp = stamp_of(request.scheduled, request.repeater, field="scheduled")

        def edit(inbox: Outline) -> tuple[Edited, str]:
            _demand(inbox, request)
            return scheduled(inbox, request.line_index, stamp)

        edited, line = await self._edited(call, edit)
        return pb.SetOrgInboxScheduleResponse(success=True, updated_index=edited.index, scheduled_line=line)

    async def apply_org_inbox_tags(
        self, call: Call, request: pb.ApplyOrgInboxTagsRequest
    ) -> pb.ApplyOrgInboxTagsResponse:
        def edit(inbox: Outline) -> tuple[Edited, list[str]]:
            _demand(inbox, request)
            return retagged(inbox, request.line_index, list(request.tags))

        _, tags = await self._edited(call, edit)
        return pb.ApplyOrgInboxTagsResponse(success=True, applied_tags=tags)

    async def archive_org_inbox_done(
        self, call: Call, request: pb.ArchiveOrgInboxDoneRequest
    ) -> pb.ArchiveOrgInboxDoneResponse:
        def change(folder: Folder) -> tuple[Mapping[str, str], int]:
            inbox, archive, count = archived(_read(folder, INBOX), _read(folder, ARCHIVE))
            return {ARCHIVE: str(archive), INBOX: str(inbox)} if count else {}, count

        count = await self._store.change(call.user, change)
        return pb.ArchiveOrgInboxDoneResponse(
            success=True, archived_count=count, message=f"Moved to {ARCHIVE}: {count}."
        )

    async def append_org_inbox_text(
        self, call: Call, request: pb.AppendOrgInboxTextRequest
    ) -> pb.AppendOrgInboxTextResponse:
        edited = await self._edit(call, lambda inbox: (appended(inbox, request.text), None))
        message = f"Appended to {INBOX} from line {edited.index} on."
        return pb.AppendOrgInboxTextResponse(success=True, message=message)

    async def get_org_inbox_path(
        self, call: Call, request: pb.GetOrgInboxPathRequest
    ) -> pb.GetOrgInboxPathResponse:
        return pb.GetOrgInboxPathResponse(success=True, path=INBOX)

    async def _inbox(self, call: Call) -> Outline:
        return await self._store.read(call.user, lambda folder: _read(folder, INBOX), outline(Lines.of("")))

    async def _edit(self, call: Call, edit: Callable[[Outline], tuple[Edited, object]]) -> Edited:
        edited, _ = await self._edited(call, edit)
        return edited

    async def _edited(self, call: Call, edit: Callable[[Outline], tuple[Edited, T]]) -> tuple[Edited, T]:
        def change(folder: Folder) -> tuple[Mapping[str, str], tuple[Edited, T]]:
            edited, told = edit(_read(folder, INBOX))
            return {INBOX: str(edited.lines)}, (edited, told)

        return await self._store.change(call.user, change)


_OfALine = (
    pb.ToggleOrgInboxItemRequest
    | pb.UpdateOrgInboxItemRequest
    | pb.SetOrgInboxScheduleRequest
    | pb.ApplyOrgInboxTagsRequest
)


def _demand(inbox: Outline, request: _OfALine) -> None:
    expected = request.expected_text if request.HasField("expected_text") else None
    demand_line(inbox, request.line_index, expected)


def _read(folder: Folder, name: str) -> Outline:
    text = folder.read(name)
    if text is None:
        folder.mode(name)  # a link is no empty inbox
    return outline(Lines.of(text or ""))


def _limit(asked: int) -> int:
    return min(asked or _USUAL, _MOST)
