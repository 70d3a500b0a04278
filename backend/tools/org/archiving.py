"""Done entries moved to the archive: no line is lost, none is changed but the stars of what was nested."""

from backend.tools.org.adding import loose_end
from backend.tools.org.headline import checkbox_of, sets_keywords
from backend.tools.org.lines import Lines
from backend.tools.org.outline import Entry, Outline


def archived(inbox: Outline, archive: Outline) -> tuple[Lines, Lines, int]:
    """The inbox and the archive as they are to be, and how many entries have moved.

    An entry moves with all that is below it, unless something there is open. Checkboxes move when they stand
    before the first headline; others are steps of their entry.
    """
    entries = _done_entries(inbox)
    boxes = _done_checkboxes(inbox)
    moved = {at for entry in entries for at in range(entry.line, entry.stop)}
    moved.update(at for box in boxes for at in box)
    lines = archive.lines
    if not len(lines):
        # Without its keywords nobody could tell what was done.
        lines = lines.with_lines(0, [text for text in inbox.lines.texts if sets_keywords(text)])
    texts = inbox.lines.texts
    subtrees = [text for entry in entries for text in _promoted(inbox, entry)]
    lines = lines.with_lines(len(lines), subtrees)
    place = loose_end(archive) if len(archive.lines) else len(lines) - len(subtrees)
    lines = lines.with_lines(place, [texts[at] for box in boxes for at in box])
    return inbox.lines.without(moved), lines, len(entries) + len(boxes)


def _done_entries(inbox: Outline) -> list[Entry]:
    found: list[Entry] = []
    for index, entry in enumerate(inbox.entries):
        if not inbox.keywords.is_done(entry.headline.todo) or (found and entry.line < found[-1].stop):
            continue
        below = [one for one in inbox.entries[index + 1 :] if one.line < entry.stop]
        if not any(one.headline.todo and not inbox.keywords.is_done(one.headline.todo) for one in below):
            found.append(entry)
    return found


def _promoted(inbox: Outline, entry: Entry) -> list[str]:
    # Else it would be below whatever the archive ends with.
    headlines = {one.line for one in inbox.entries}
    surplus = entry.level - 1
    lines = range(entry.line, entry.stop)
    return [inbox.lines.texts[at][surplus if at in headlines else 0 :] for at in lines]


def _done_checkboxes(inbox: Outline) -> list[range]:
    found: list[range] = []
    at = 0
    while at < inbox.preamble:
        box = checkbox_of(inbox.lines.texts[at])
        if box is None:
            at += 1
            continue
        end = _block_end(inbox, at, box.indentation)
        boxes = filter(None, map(checkbox_of, inbox.lines.texts[at:end]))
        if all(one.is_done for one in boxes):
            found.append(range(at, end))
        at = end
    return found


def _block_end(inbox: Outline, at: int, indentation: int) -> int:
    end = at + 1
    while end < inbox.preamble:
        text = inbox.lines.texts[end]
        if not text.strip() or len(text) - len(text.lstrip()) <= indentation:
            break
        end += 1
    return end
