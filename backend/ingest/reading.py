"""What a file says of itself in front matter, and its text without markup."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from typing import Literal

import yaml

from backend.ingest.passages import heading_of

Format = Literal["text", "markdown", "html"]

CONTENT_TYPES: Mapping[Format, str] = {"text": "text/plain", "markdown": "text/markdown", "html": "text/html"}
_BY_ENDING: Mapping[str, Format] = {"md": "markdown", "markdown": "markdown", "html": "html", "htm": "html"}
_FENCE = "---\n"
_MOST_FRONT_MATTER = 16 * 1024
_MOST_VALUES = 100
_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg"})
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "i", "kbd", "mark", "q", "s"}
    | {"samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr"}
)


@dataclass(frozen=True, slots=True)
class Read:
    """A file as it was read. `declared`: the values of each key of its front matter; `title` may be empty."""

    format: Format
    text: str
    title: str = ""
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict)


def format_of(filename: str) -> Format:
    """By the name's ending; what is not known is text."""
    return _BY_ENDING.get(filename.rpartition(".")[2].lower(), "text")


def read(content: str, kind: Format) -> Read:
    """The text as passages are made of it. Front matter that is no YAML is text like any other."""
    if kind == "html":
        page = _Page()
        page.feed(content)
        page.close()
        return Read(kind, page.text(), page.title.strip())
    declared, text = _front_matter(content.replace("\r\n", "\n")) if kind == "markdown" else ({}, content)
    named = declared.get("title", ())
    title = named[0] if named else _first_heading(text) if kind == "markdown" else ""
    return Read(kind, text, title, {key: values for key, values in declared.items() if key != "title"})


def _first_heading(text: str) -> str:
    return next((found for line in text.splitlines() if (found := heading_of(line))), "")


def _front_matter(content: str) -> tuple[dict[str, Sequence[str]], str]:
    end = content.find("\n" + _FENCE, len(_FENCE) - 1)
    if not content.startswith(_FENCE) or not 0 <= end <= _MOST_FRONT_MATTER:
        return {}, content
    try:
        said = yaml.safe_load(content[len(_FENCE) : end + 1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}, content
    if not isinstance(said, dict):
        return {}, content
    declared = {str(key).lower(): _values(value) for key, value in said.items()}
    return {key: values for key, values in declared.items() if values}, content[end + 1 + len(_FENCE) :]


def _values(value: object) -> Sequence[str]:
    several = value if isinstance(value, list) else [value]
    # What is nested is left out: no form of ours has a place for it.
    plain = [_stored(one) for one in several[:_MOST_VALUES] if isinstance(one, str | int | float | date)]
    return [one for one in plain if one]


def _stored(value: str | float | date) -> str:
    # YAML's escapes can write what Postgres does not take: NUL and halves of characters.
    return str(value).replace("\0", "").encode(errors="replace").decode().strip()


class _Page(HTMLParser):
    """Text with headings as in Markdown, a blank line between blocks; nothing of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._parts: list[str] = []
        self._unseen = 0
        self._in_title = False

    def text(self) -> str:
        lines = (re.sub(r"[ \t]+", " ", line).strip() for line in "".join(self._parts).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "title":
            self._in_title = True
        elif tag == "br":
            self._parts.append("\n")
        elif tag not in _INLINE:
            self._parts.append("\n\n" + (f"{_HEADINGS[tag]} " if tag in _HEADINGS else ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "title":
            self._in_title = False
        elif tag not in _INLINE:
            self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._in_title:
            self.title += data
        else:
            self._parts.append(data.replace("\n", " "))
