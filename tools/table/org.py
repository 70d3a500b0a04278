"""The user's org-mode files and inbox.

What takes a line index is not idempotent: lines move, so the same call again may meet another line.
"""

from tools.table.row import COUNT, EXPECTED_TEXT, HITS, LINE, LINE_INDEX, REPEATER, TIMESTAMP, Row

_LINE = {"line_index": LINE_INDEX, "expected_text": EXPECTED_TEXT}

ROWS = (
    Row(
        "SearchOrgFiles",
        "Search the user's org-mode files.",
        "org_read",
        needs=("query",),
        says={"search_types": "Leave it out for all.", "limit": COUNT},
        most=HITS,
        choices={"search_types": ("todos", "headings", "content")},
        read_only=True,
    ),
    Row(
        "GetOrgInboxItems",
        "Get the newest entries of the org inbox, to read them.",
        "org_read",
        says={"limit": COUNT},
        most=HITS,
        read_only=True,
    ),
    Row(
        "ListOrgInboxItems",
        "List all lines of the org inbox with their line_index. Use it right before you change a line.",
        "org_read",
        read_only=True,
    ),
    Row(
        "AddOrgInboxItem",
        "Add an entry to the org inbox: something to do, an event, a contact or a checkbox.",
        "file_write",
        needs=("text", "kind"),
        says={
            "text": "The entry.",
            "schedule": TIMESTAMP,
            "repeater": REPEATER,
            "contact_properties": "Only with kind contact: its fields by name.",
        },
        choices={"kind": ("todo", "event", "contact", "checkbox")},
        long=frozenset({"text"}),
        sensitive=frozenset({"contact_properties"}),
    ),
    Row(
        "ToggleOrgInboxItem",
        "Mark an entry of the org inbox as done, or as open again.",
        "file_write",
        needs=("line_index",),
        says=_LINE,
        most=LINE,
    ),
    Row(
        "UpdateOrgInboxItem",
        "Rewrite an entry of the org inbox.",
        "file_write",
        needs=("line_index", "new_text"),
        says={**_LINE, "new_text": "The whole new entry."},
        most=LINE,
        long=frozenset({"new_text"}),
    ),
    Row(
        "SetOrgInboxSchedule",
        "Set when an entry of the org inbox is scheduled.",
        "file_write",
        needs=("line_index", "scheduled"),
        says={**_LINE, "scheduled": TIMESTAMP, "repeater": REPEATER},
        most=LINE,
    ),
    Row(
        "ApplyOrgInboxTags",
        "Set the tags of an entry of the org inbox.",
        "file_write",
        needs=("line_index", "tags"),
        says={**_LINE, "tags": "All tags that the entry is to have."},
        most=LINE,
    ),
    Row(
        "ArchiveOrgInboxDone",
        "Move all done entries of the org inbox to the archive.",
        "file_write",
    ),
    Row(
        "AppendOrgInboxText",
        "Append text as it is to the org inbox.",
        "file_write",
        needs=("text",),
        says={"text": "Org-mode text."},
        long=frozenset({"text"}),
    ),
    Row(
        "GetOrgInboxPath",
        "Get where the org inbox file is.",
        "org_read",
        read_only=True,
    ),
)
