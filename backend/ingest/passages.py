"""A text cut into passages that a search can show."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 1500
"""Characters of a passage, about a page: a hit says where it is, and an embedding model takes it whole."""

_HEADING = re.compile(r"#{1,6} +(.+?)[ #]*")
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


def _paragraphs(text: str, *, headings: bool) -> Iterator[tuple[str, str]]:
    heading, lines, in_code = "", [""] * 0, False
    for line in [*text.splitlines(), ""]:
        if headings and _CODE.match(line):
            in_code = not in_code
        title = _HEADING.fullmatch(line.strip()) if headings and not in_code else None
        if lines and (title or (not line.strip() and not in_code)):
            yield heading, "\n".join(lines)
            lines = []
        if title:
            heading = title[1]
        elif line.strip():
            lines.append(line.rstrip())
    if lines:
        yield heading, "\n".join(lines)


def _pieces(heading: str, body: str, longest: int) -> Iterator[Passage]:
    while len(body) > longest:
        cut = _cut(body, longest)
        yield Passage(heading, body[:cut].strip())
        body = body[cut:].lstrip()
    if body.strip():
        yield Passage(heading, body)


def _cut(body: str, longest: int) -> int:
    for end in _ENDS:
        at = body.rfind(end, longest // 2, longest)
        if at > 0:
            return at + len(end)
    return longest
