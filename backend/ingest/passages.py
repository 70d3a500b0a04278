"""A text cut into passages that a search can show."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 1500
"""Characters of a passage, about a page: a hit says where it is, and an embedding model takes it whole."""

_LONGEST_HEADING = 500
_HEADING = re.compile(r"#{1,6} +")
_CLOSING = re.compile(r"(^|\s+)#+$")
_CODE = re.compile(r"\s{0,3}(```|~~~)")
_ENDS = (". ", "! ", "? ", "; ", ", ", " ")


@dataclass(frozen=True, slots=True)
class Passage:
    """Some paragraphs below one heading, which may be empty."""

    heading: str
    body: str


def passages(text: str, *, headings: bool, longest: int = LONGEST) -> Iterator[Passage]:
    """The passages in order. `headings`: lines with # are headings, as in Markdown."""
    heading, gathered = "", ""
    for found, paragraph in _paragraphs(text, headings=headings):
        if found != heading or len(gathered) + len(paragraph) + 2 > longest:
            yield from _pieces(heading, gathered, longest)
            heading, gathered = found, ""
        gathered = f"{gathered}\n\n{paragraph}" if gathered else paragraph
    yield from _pieces(heading, gathered, longest)


def heading_of(line: str) -> str | None:
    """The text of a heading in Markdown, without its marks; None = it is none."""
    begins = _HEADING.match(line)
    if begins is None or len(line) > _LONGEST_HEADING:
        return None
    return _CLOSING.sub("", line[begins.end() :].strip()) or None


def _paragraphs(text: str, *, headings: bool) -> Iterator[tuple[str, str]]:
    heading, lines, in_code = "", list[str](), False
    for line in [*text.splitlines(), ""]:
        if headings and _CODE.match(line):
            in_code = not in_code
        title = heading_of(line) if headings and not in_code else None
        if lines and (title or (not line.strip() and not in_code)):
            yield heading, "\n".join(lines)
            lines = []
        if title:
            heading = title
        elif line.strip():
            lines.append(line.rstrip())
    if lines:
        yield heading, "\n".join(lines)


def _pieces(heading: str, body: str, longest: int) -> Iterator[Passage]:
    begin = 0
    while begin < len(body):
        end = _end(body, begin, longest)
        if piece := body[begin:end].strip():
            yield Passage(heading, piece)
        begin = end


def _end(body: str, begin: int, longest: int) -> int:
    if len(body) - begin <= longest:
        return len(body)
    for end in _ENDS:
        at = body.rfind(end, begin + longest // 2, begin + longest)
        if at > 0:
            return at + len(end)
    return begin + longest
