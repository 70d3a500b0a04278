"""What is put into an inbox: new entries, and text as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from backend.tools.org.headline import Headline, headline_of, tagged
from backend.tools.org.lines import Lines
from backend.tools.org.outline import Outline
from backend.tools.org.stamps import Stamp, day_name
from backend.tools.org.wording import entry_text, fitting, plain_lines, properties_of, tags_of
from llm_orchestrator_client.tool_service import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Edited:
    """The file as it is to be, and where the entry is."""

    lines: Lines
    index: int


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added. `created` is in UTC."""

    kind: str
    text: str
    created: datetime
    stamp: Stamp | None = None
    tags: Sequence[str] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


def added(outline: Outline, new: NewEntry) -> Edited:
    """A new entry: a checkbox before the first headline, all else at the end.

    Raises:
        InvalidArgumentError: The kind is none, or has no room for something that is given.
    """
    if new.properties and new.kind != "contact":
        raise InvalidArgumentError("Only a contact has properties.", field="contact_properties")
    match new.kind:
        case "checkbox":
            return _checkbox(outline, new)
        case "todo" | "event" | "contact":
            return Edited(
                outline.lines.with_lines(len(outline.lines), _entry(outline, new)), len(outline.lines)
            )
        case _:
            raise InvalidArgumentError("kind is one of todo, event, contact and checkbox.", field="kind")


def appended(outline: Outline, text: str) -> Edited:
    """Text at the end, as it is.

    Raises:
        InvalidArgumentError: It is empty, too long, or holds control characters.
    """
    lines = plain_lines(text, "text")
    return Edited(outline.lines.with_lines(len(outline.lines), lines), len(outline.lines))


def loose_end(outline: Outline) -> int:
    """Where a line belongs to no entry: below what stands before the first headline."""
    last = outline.preamble
    while last and not outline.lines.texts[last - 1].strip():
        last -= 1
    return last


def _checkbox(outline: Outline, new: NewEntry) -> Edited:
    title, below = entry_text(new.text)
    if new.tags or below:
        raise InvalidArgumentError(
            "A checkbox is one line and has no tags.", field="tags" if new.tags else "text"
        )
    line = fitting(" ".join(filter(None, ("- [ ]", title, str(new.stamp or "")))), "text")
    # At the end it would be part of the last entry, and be archived with it.
    index = loose_end(outline)
    return Edited(outline.lines.with_lines(index, [line]), index)


def _entry(outline: Outline, new: NewEntry) -> list[str]:
    title, below = entry_text(new.text)
    given = headline_of(f"* {title}", outline.keywords) or Headline("* ", "", title)
    todo = new.kind == "todo"
    if given.todo and not todo:
        raise InvalidArgumentError("The text begins with a TODO keyword: add it as a todo.", field="text")
    if not given.titled:
        raise InvalidArgumentError("text has no title in its first line.", field="text")
    tags = tags_of([*given.tags, *new.tags])
    headline = Headline("* ", outline.keywords.first if todo else "", tagged(given.titled, tags))
    properties = properties_of(new.properties)
    stamp = [] if new.stamp is None else [str(new.stamp)]
    return [
        fitting(str(headline), "text"),
        *(f"SCHEDULED: {one}" for one in stamp if new.kind != "event"),
        ":PROPERTIES:",
        f":CREATED: [{new.created:%Y-%m-%d} {day_name(new.created)} {new.created:%H:%M}]",
        *(f":{name}: {value}" for name, value in properties.items()),
        ":END:",
        *(one for one in stamp if new.kind == "event"),
        *below,
    ]
