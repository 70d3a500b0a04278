"""A comment of a .proto as Markdown: prose, indented columns as a table, names as code or links."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

STATUS_COLUMNS = ("status", "when")
# What is for those who change the file: buf's orders, and the line where a message's additions begin.
NOT_SHOWN = re.compile(r"^ *(?:buf:lint:ignore .*|additive)$")

_PROSE_INDENT = 1
_CELL = re.compile(r"\S+(?: \S+)*")
_HEADWORD = re.compile(r"^([A-Z]\w*(?: \w+)?)\. ")
# Constants, fields and paths of them: all that is no English word. Names in backticks are code already.
_WORD = re.compile(
    r"`[^`]+`|\b[A-Z]{5,}\b(?!-)|\b[A-Za-z]\w*(?:_\w+)+(?:\.\w+)*\b|\b[A-Z][a-z]\w*(?:\.[a-z]\w*)?\b"
)

Links = Mapping[str, str]
_NOWHERE: Links = MappingProxyType({})


def markdown(comment: str, links: Links = _NOWHERE, *, headwords: bool = False) -> str:
    """The comment as blocks of Markdown.

    `links`: where each message, enum and RPC stands. `headwords`: paragraphs begin with their subject.
    """
    blocks = groupby(_shown(comment), lambda line: (bool(line.strip()), _is_columns(line)))
    made = [
        _table(list(block), links) if columns else _paragraph(block, links, headwords)
        for (written, columns), block in blocks
        if written
    ]
    return "\n\n".join(made)


def one_line(comment: str, links: Links = _NOWHERE) -> str:
    """The same for a cell of a table: columns are read as prose."""
    text = " ".join(line.strip() for line in _shown(comment))
    return _named(text.strip(), links).replace("|", "\\|")


def _shown(comment: str) -> list[str]:
    return [line for line in comment.splitlines() if not NOT_SHOWN.match(line)]


def _is_columns(line: str) -> bool:
    return len(line) - len(line.lstrip()) > _PROSE_INDENT


def _paragraph(lines: Iterator[str], links: Links, headwords: bool) -> str:
    text = " ".join(line.strip() for line in lines)
    bold = _HEADWORD.match(text) if headwords else None
    if bold is None:
        return _named(text, links)
    return f"**{bold[1]}.** {_named(text[bold.end() :], links)}"


def _table(lines: Sequence[str], links: Links) -> str:
    rows = [[_named(cell, links).replace("|", "\\|") for cell in row] for row in _rows(lines)]
    header = list(STATUS_COLUMNS) if len(rows[0]) == len(STATUS_COLUMNS) else rows.pop(0)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def _rows(lines: Sequence[str]) -> list[list[str]]:
    """The cells. What begins under a column and not at the margin goes on with that column's cell."""
    margin = len(lines[0]) - len(lines[0].lstrip())
    rows: list[list[str]] = []
    starts: list[int] = []
    for line in lines:
        cells = list(_CELL.finditer(line))
        if cells[0].start() == margin:
            starts = [cell.start() for cell in cells]
            rows.append([cell[0] for cell in cells])
        else:
            rows[-1][starts.index(cells[0].start())] += f" {cells[0][0]}"
    return rows


def _named(text: str, links: Links) -> str:
    return _WORD.sub(lambda found: _name(found[0], links), text.replace("<", "&lt;").replace("*", "\\*"))


def _name(word: str, links: Links) -> str:
    owner = word.strip("`").partition(".")[0]
    if owner in links and (word != owner or not _is_english(word)):
        return f"[`{word.strip('`')}`]({links[owner]})"
    if word.startswith("`") or word.isupper() or "_" in word:
        return f"`{word.strip('`')}`"
    return word


def _is_english(word: str) -> bool:
    """A name without a second capital, as Usage, may be meant as the word."""
    return word == word.capitalize()
