"""Changes of one entry of an inbox: only its own lines, and only as long as they read as expected."""

import re
from datetime import datetime

from backend.tools.org.adding import Edited
from backend.tools.org.headline import LONGEST, Checkbox, Headline, checkbox_of, headline_of
from backend.tools.org.outline import Entry, Outline
from backend.tools.org.stamps import Stamp, read_stamp
from backend.tools.org.wording import fitting, one_line, tags_of
from llm_orchestrator_client.tool_service import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)

_ACTIVE = re.compile(r"<[0-9]{4}-[^<>]{1,60}>")
_SCHEDULED = re.compile(r"SCHEDULED:[ \t]*<[^<>]{1,60}>(?:--<[^<>]{1,60}>)?")
_REPEATING = re.compile(r"(?P<name>(?:SCHEDULED|DEADLINE):[ \t]*)(?P<stamp><[^<>]{1,60}>)")


def demand_line(outline: Outline, index: int, expected: str | None) -> str:
    """The line to be edited, as it reads now.

    Raises:
        NotFoundError: There is no such line.
        FailedPreconditionError: It reads otherwise than `expected`, or is none that can be edited.
    """
    text = outline.lines.texts[index] if index < len(outline.lines) else None
    if expected is not None and (text is None or text.rstrip() != expected.rstrip()):
        raise FailedPreconditionError(
            "The line reads otherwise now. List the inbox again.", reason="LINE_CHANGED"
        )
    if text is None or not text.strip():
        raise NotFoundError(f"There is nothing at line {index}. List the inbox again.")
    if len(text) > LONGEST:
        raise FailedPreconditionError(
            f"The line is longer than {LONGEST} characters.", reason="LINE_TOO_LONG"
        )
    return text


def toggled(outline: Outline, index: int, now: datetime) -> Edited:
    """An entry done, or open again. One that repeats stays open, and is due the next time.

    Raises:
        FailedPreconditionError: It is neither a headline nor a checkbox.
    """
    entry = outline.at(index)
    if entry is not None:
        todo = outline.keywords.toggled(entry.headline.todo)
        if outline.keywords.is_done(todo) and (repeated := _repeated(outline, entry, now)):
            return Edited(outline.lines.with_line(index + 1, repeated), index)
        return _with_headline(outline, entry, entry.headline.with_todo(todo))
    box = _demand_checkbox(outline, index)
    state = " " if box.is_done else "X"
    return Edited(outline.lines.with_line(index, str(Checkbox(box.bullet, state, box.rest))), index)


def updated(outline: Outline, index: int, text: str) -> Edited:
    """A line rewritten. What the new text does not name stays: keyword, tags, the box and its state.

    A text that begins as a headline does, or as a checkbox, says all of these; a headline keeps its level.

    Raises:
        InvalidArgumentError: It is no one line, or would be of another kind.
        FailedPreconditionError: The line is metadata of an entry or of the file.
    """
    new = one_line(text, "new_text")
    entry = outline.at(index)
    if entry is not None:
        return _with_headline(outline, entry, _reworded(outline, entry.headline, new), "new_text")
    if index in outline.structural or index in outline.planning:
        raise FailedPreconditionError(
            "The line says something of an entry or of the file. Use set_org_inbox_schedule for a schedule.",
            reason="NOT_AN_ENTRY",
        )
    old = outline.lines.texts[index]
    box, given = checkbox_of(old), checkbox_of(new)
    if box is not None:
        rest = f" {new}" if given is None else given.rest
        line = str(Checkbox(box.bullet, box.state if given is None else given.state, rest))
    else:
        line = old[: len(old) - len(old.lstrip())] + new
    if (checkbox_of(line) is None) != (box is None) or headline_of(line, outline.keywords):
        raise InvalidArgumentError("The line would become another kind of entry.", field="new_text")
    return Edited(outline.lines.with_line(index, fitting(line, "new_text")), index)


def scheduled(outline: Outline, index: int, stamp: Stamp) -> tuple[Edited, str]:
    """An entry scheduled anew, and the line that says so. An event's own timestamp is moved.

    Raises:
        FailedPreconditionError: It is neither a headline nor a checkbox.
    """
    entry = outline.at(index)
    if entry is None:
        box = _demand_checkbox(outline, index)
        rest = f"{_ACTIVE.sub('', box.rest).rstrip()} {stamp}"
        line = fitting(str(Checkbox(box.bullet, box.state, rest)), "scheduled")
        return Edited(outline.lines.with_line(index, line), index), line
    below = index + 1
    if below in outline.planning:
        line = outline.lines.texts[below]
        new = f"SCHEDULED: {stamp}"
        line = _SCHEDULED.sub(new, line, count=1) if _SCHEDULED.search(line) else f"{line.rstrip()} {new}"
        return Edited(outline.lines.with_line(below, line), index), line
    event = _event_line(outline, entry)
    if event is not None:
        return Edited(outline.lines.with_line(event, str(stamp)), index), str(stamp)
    line = f"SCHEDULED: {stamp}"
    return Edited(outline.lines.with_lines(below, [line]), index), line


def retagged(outline: Outline, index: int, tags: list[str]) -> tuple[Edited, list[str]]:
    """An entry with these tags and no others.

    Raises:
        FailedPreconditionError: It is no headline.
        InvalidArgumentError: One of them is no tag.
    """
    entry = outline.at(index)
    if entry is None:
        raise FailedPreconditionError("Only a headline has tags.", reason="NOT_A_HEADLINE")
    wanted = tags_of(tags)
    return _with_headline(outline, entry, entry.headline.with_tags(wanted), "tags"), wanted


def _with_headline(outline: Outline, entry: Entry, headline: Headline, field: str = "") -> Edited:
    line = fitting(str(headline), field)
    return Edited(outline.lines.with_line(entry.line, line), entry.line)


def _reworded(outline: Outline, old: Headline, new: str) -> Headline:
    given = headline_of(new, outline.keywords)
    if given is not None:
        return Headline(old.stars, given.todo, given.rest)
    bare = headline_of(f"* {new}", outline.keywords)
    assert bare is not None
    if not bare.titled:
        raise InvalidArgumentError("new_text has no title.", field="new_text")
    priority = f"[#{old.priority}] " if old.priority and not bare.priority else ""
    return Headline(old.stars, bare.todo or old.todo, f"{priority}{bare.titled}").with_tags(
        bare.tags or old.tags
    )


def _repeated(outline: Outline, entry: Entry, now: datetime) -> str | None:
    if entry.line + 1 not in outline.planning:
        return None
    planning = outline.lines.texts[entry.line + 1]

    def next_time(found: re.Match[str]) -> str:
        stamp = read_stamp(found["stamp"])
        return found.group() if stamp is None else f"{found['name']}{stamp.repeated(now)}"

    line = _REPEATING.sub(next_time, planning)
    return line if line != planning else None


def _event_line(outline: Outline, entry: Entry) -> int | None:
    own = range(entry.line + 1, entry.body)
    found = (at for at in own if _ACTIVE.fullmatch(outline.lines.texts[at].strip()))
    return None if entry.headline.todo else next(found, None)


def _demand_checkbox(outline: Outline, index: int) -> Checkbox:
    box = checkbox_of(outline.lines.texts[index])
    if box is None:
        raise FailedPreconditionError("The line is neither a headline nor a checkbox.", reason="NOT_AN_ENTRY")
    return box
