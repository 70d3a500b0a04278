"""What is in an inbox: as lines that can be edited, and as entries to be read."""

import re
from collections import Counter
from datetime import datetime
from hashlib import sha256

from backend.tools.org.headline import checkbox_of
from backend.tools.org.outline import Entry, Outline
from llm_orchestrator_client.protos import tool_service_pb2 as pb

_LONGEST_CONTENT = 4000
_CREATED = re.compile(r"\[([0-9]{4}-[0-9]{2}-[0-9]{2})[^\]0-9]{0,15}([0-9]{2}:[0-9]{2})?\]")


def lines_of(outline: Outline) -> list[pb.OrgInboxItemDetails]:
    """All lines but blank ones, properties and settings."""
    return [
        _line(outline, at, text)
        for at, text in enumerate(outline.lines.texts)
        if text.strip() and at not in outline.structural
    ]


def entries_of(outline: Outline, limit: int) -> list[pb.OrgInboxItem]:
    """Entries that are below none, the last of the file first, and then checkboxes that belong to none."""
    seen: Counter[str] = Counter()
    top = [_entry(outline, entry, seen) for entry in outline.entries if not entry.path]
    boxes = [_checkbox(outline, at, seen) for at in range(outline.preamble) if _is_checkbox(outline, at)]
    return [*reversed(top), *reversed(boxes)][:limit]


def facts(outline: Outline, entry: Entry) -> dict[str, str]:
    """What is known of an entry beyond its texts, without what is empty."""
    headline = entry.headline
    known = {
        "todo_state": headline.todo,
        "is_done": "true" if outline.keywords.is_done(headline.todo) else "",
        "tags": ", ".join(dict.fromkeys((*headline.tags, *entry.inherited))),
        "priority": headline.priority,
        "scheduled": entry.scheduled,
        "deadline": entry.deadline,
    }
    return {name: value for name, value in known.items() if value}


def _line(outline: Outline, at: int, text: str) -> pb.OrgInboxItemDetails:
    entry, box = outline.at(at), checkbox_of(text)
    item = pb.OrgInboxItemDetails(line_index=at, text=text, item_type="plain")
    if entry is not None:
        item.item_type = "headline"
        item.todo_state = entry.headline.todo
        item.tags.extend(entry.headline.tags)
        item.is_done = outline.keywords.is_done(entry.headline.todo)
    elif box is not None:
        item.item_type = "checkbox"
        item.is_done = box.is_done
    return item


def _entry(outline: Outline, entry: Entry, seen: Counter[str]) -> pb.OrgInboxItem:
    own = range(entry.line + 1, entry.stop)
    hidden = outline.structural | outline.planning
    content = "\n".join(outline.lines.texts[at] for at in own if at not in hidden).strip("\n")
    others = {name: value for name, value in entry.properties.items() if name not in ("CREATED", "ID")}
    return pb.OrgInboxItem(
        item_id=entry.properties.get("ID") or _id(str(entry.headline), seen),
        title=entry.headline.title,
        content=shortened(content, _LONGEST_CONTENT),
        timestamp=_rfc3339(entry.properties.get("CREATED", "")),
        metadata={**others, **facts(outline, entry), "line_index": str(entry.line)},
    )


def _checkbox(outline: Outline, at: int, seen: Counter[str]) -> pb.OrgInboxItem:
    text = outline.lines.texts[at]
    box = checkbox_of(text)
    assert box is not None
    done = {"is_done": "true"} if box.is_done else {}
    return pb.OrgInboxItem(
        item_id=_id(text.strip(), seen), title=box.rest.strip(), metadata={**done, "line_index": str(at)}
    )


def _is_checkbox(outline: Outline, at: int) -> bool:
    return checkbox_of(outline.lines.texts[at]) is not None


def _id(text: str, seen: Counter[str]) -> str:
    seen[text] += 1
    return sha256(f"{seen[text]} {text}".encode()).hexdigest()[:16]


def _rfc3339(created: str) -> str:
    found = _CREATED.search(created)
    if found is None:
        return ""
    text = f"{found[1]}T{found[2] or '00:00'}:00Z"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text


def shortened(text: str, characters: int) -> str:
    """A text cut to a length, with a mark."""
    return text if len(text) <= characters else f"{text[:characters]} [...]"
