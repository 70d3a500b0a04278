"""The entries of an org file: the tree, dates and properties as orgparse reads them, headlines as we do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import orgparse
from orgparse.date import OrgDate

from backend.tools.org.headline import LONGEST, STARS, Headline, Keywords, headline_of, keywords_of
from backend.tools.org.lines import Lines

_STAMP = re.compile(r"[<\[](?=[0-9]{4}-)(?:(?P<whole>[^<>\[\]]{1,60})[>\]])?")
_PLANNED = r"[<\[][^>\]\n]{1,80}[>\]]"
_PLANNING = re.compile(rf"[ \t]*(?:(?:SCHEDULED|DEADLINE|CLOSED):[ \t]*{_PLANNED}(?:--{_PLANNED})?[ \t]*)+")
_DRAWER = re.compile(r"[ \t]*:[\w-]+:[ \t]*")
_END = re.compile(r"[ \t]*:END:[ \t]*", re.IGNORECASE)
_UNUSED = re.compile(r"CLOCK:|:Effort:|State\s")


@dataclass(frozen=True, slots=True)
class Entry:
    """A headline and what is below it. Lines count from 0; `body` and `stop` are the first ones after its own
    text and after its subtree. `scheduled` and `deadline` are empty without one."""

    line: int
    body: int
    stop: int
    headline: Headline
    path: tuple[str, ...]
    inherited: tuple[str, ...]
    scheduled: str
    deadline: str
    properties: Mapping[str, str]

    @property
    def level(self) -> int:
        return self.headline.level


@dataclass(frozen=True)
class Outline:
    """`preamble` is the number of lines before the first headline."""

    lines: Lines
    keywords: Keywords
    entries: tuple[Entry, ...]

    @property
    def preamble(self) -> int:
        return self.entries[0].line if self.entries else len(self.lines)

    @cached_property
    def structural(self) -> frozenset[int]:
        """Lines that say something of the entry above or of the file: no text of anybody's."""
        found = {at for at, text in enumerate(self.lines.texts) if text.lstrip().startswith(("#+", "# "))}
        for entry in self.entries:
            found.update(self._metadata(entry))
        return frozenset(found)

    @cached_property
    def planning(self) -> frozenset[int]:
        """The lines with SCHEDULED and the like, each below its headline."""
        return frozenset(entry.line + 1 for entry in self.entries if self._planned(entry))

    def at(self, line: int) -> Entry | None:
        """The entry whose headline is there."""
        return next((entry for entry in self.entries if entry.line == line), None)

    def text(self, entry: Entry) -> list[str]:
        """An entry's own text, without its headline and what is structural."""
        own = range(entry.line + 1, entry.body)
        return [self.lines.texts[at] for at in own if at not in self.structural and at not in self.planning]

    def _planned(self, entry: Entry) -> bool:
        below = entry.line + 1
        return below < entry.body and bool(_PLANNING.fullmatch(self.lines.texts[below]))

    def _metadata(self, entry: Entry) -> list[int]:
        start = entry.line + (2 if self._planned(entry) else 1)
        found: list[int] = []
        while start < entry.body and _DRAWER.fullmatch(self.lines.texts[start]):
            end = next((at for at in range(start, entry.body) if _END.fullmatch(self.lines.texts[at])), None)
            if end is None:
                break
            found.extend(range(start, end + 1))
            start = end + 1
        return found


def outline(lines: Lines) -> Outline:
    """What is in a file. There is none that cannot be read."""
    keywords = keywords_of(lines.texts)
    nodes = list(orgparse.loadi([_readable(text) for text in lines.texts]))[1:]
    levels = [node.level for node in nodes]
    stops = _stops(levels, [node.linenumber - 1 for node in nodes], len(lines))
    entries: list[Entry] = []
    above: list[Entry] = []
    for node, stop in zip(nodes, stops, strict=True):
        at = node.linenumber - 1
        headline = headline_of(lines.texts[at], keywords)
        assert headline is not None
        while above and above[-1].level >= headline.level:
            above.pop()
        entry = Entry(
            line=at,
            body=node.end_linenumber,
            stop=stop,
            headline=headline,
            path=tuple(one.headline.title for one in above),
            inherited=tuple(tag for one in above for tag in one.headline.tags),
            scheduled=_written(node.scheduled),
            deadline=_written(node.deadline),
            properties={name: str(value) for name, value in node.properties.items()},
        )
        entries.append(entry)
        above.append(entry)
    return Outline(lines, keywords, tuple(entries))


def _stops(levels: Sequence[int], starts: Sequence[int], end: int) -> list[int]:
    stops = [end] * len(levels)
    opened: list[int] = []
    for index, level in enumerate(levels):
        while opened and levels[opened[-1]] >= level:
            stops[opened.pop()] = starts[index]
        opened.append(index)
    return stops


def _readable(text: str) -> str:
    # orgparse raises for dates that do not exist, and its patterns take up to the cube of a line's length.
    # What is taken away here is not asked of it: of a headline only its level is.
    stars = STARS.match(text)
    if stars is not None:
        return f"{stars.group()[:LONGEST]}x"
    if _UNUSED.search(text[:LONGEST]):
        return ""
    return _STAMP.sub(_existing, text[:LONGEST])


def _existing(found: re.Match[str]) -> str:
    try:
        known = found["whole"] is not None and OrgDate.list_from_str(found.group())
    except ValueError:
        known = False
    return found.group() if known else "(" + found.group()[1:]


def _written(stamp: OrgDate) -> str:
    return str(stamp) if stamp else ""
