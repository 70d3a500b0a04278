"""What one line of an org file is: a headline, a checkbox, or plain."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orgparse.node import OrgEnv, parse_comment, parse_heading_level, parse_seq_todo

LONGEST = 1000
"""Characters of a line that is still taken apart. A longer one is shown and moved, and never edited."""

_OPEN, _DONE = (tuple(keys) for keys in (OrgEnv().todo_keys, OrgEnv().done_keys))
"""Org's own keywords, one each."""
_SETTINGS = (*_OPEN, *(f"{kind}_{word}" for kind in ("SEQ", "TYP") for word in _OPEN))
_PRIORITY = re.compile(r"[ \t]*\[#([A-Z0-9])\][ \t]*")
STARS = re.compile(r"\*+ [ \t]*")
# orgparse also takes the end of "Meet at 10:30:" for a tag; org wants a blank before them.
_TAGS = re.compile(r":[\w@#%]+(?::[\w@#%]+)*:")
_CHECKBOX = re.compile(
    r"(?P<bullet>[ \t]*(?:[-+]|[0-9]{1,9}[.)]|(?<=[ \t])\*)[ \t]+)\[(?P<state>[ xX-])\](?P<rest>(?:[ \t].*)?)"
)


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keywords of a file, in sequences of those that are open and those that are done."""

    sequences: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ((_OPEN, _DONE),)

    def __contains__(self, word: str) -> bool:
        return any(word in opened or word in done for opened, done in self.sequences)

    def is_done(self, word: str) -> bool:
        return any(word in done for _, done in self.sequences)

    def toggled(self, word: str) -> str:
        """The first done one of its sequence, or its first open one."""
        for opened, done in self.sequences:
            if word in opened:
                return done[0]
            if word in done:
                return opened[0]
        return self.sequences[0][1][0]

    @property
    def first(self) -> str:
        return self.sequences[0][0][0]


def keywords_of(texts: Iterable[str]) -> Keywords:
    """Those that a file sets by one of `_SETTINGS`, else org's own two."""
    sequences = []
    for text in texts:
        setting = parse_comment(text[:LONGEST]) if "#+" in text else None
        if setting is None or setting[0].upper() not in _SETTINGS:
            continue
        opened, done = parse_seq_todo(setting[1][0])  # type: ignore[no-untyped-call]
        if not done:  # without a bar the last one is done, which orgparse does not know
            opened, done = opened[:-1], opened[-1:]
        if opened and done:
            sequences.append((tuple(opened), tuple(done)))
    return Keywords(tuple(sequences)) if sequences else Keywords()


def sets_keywords(text: str) -> bool:
    """Whether a line would change which words are keywords."""
    setting = parse_comment(text)
    return setting is not None and setting[0].upper() in _SETTINGS


@dataclass(frozen=True, slots=True)
class Headline:
    """`stars` with the blanks after them; `rest` is what follows the keyword, tags and all."""

    stars: str
    todo: str
    rest: str

    def __str__(self) -> str:
        return self.stars + " ".join(filter(None, (self.todo, self.rest)))

    @property
    def level(self) -> int:
        level = parse_heading_level(self.stars + "x")
        return 0 if level is None else level[1]

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self._tagged().strip(":").split(":")) if self._tagged() else ()

    @property
    def priority(self) -> str:
        found = _PRIORITY.match(self.rest)
        return found[1] if found else ""

    @property
    def titled(self) -> str:
        """The title with its priority."""
        return self.rest.rstrip().removesuffix(self._tagged()).rstrip()

    @property
    def title(self) -> str:
        return _PRIORITY.sub("", self.titled, count=1).strip() if self.priority else self.titled.strip()

    def with_todo(self, todo: str) -> "Headline":
        return Headline(self.stars, todo, self.rest)

    def with_tags(self, tags: Sequence[str]) -> "Headline":
        return Headline(self.stars, self.todo, tagged(self.titled, tags))

    def _tagged(self) -> str:
        words = self.rest.rsplit(None, 1)
        return words[-1] if words and _TAGS.fullmatch(words[-1]) else ""


def headline_of(text: str, keywords: Keywords) -> Headline | None:
    """A line as a headline; None when it is none."""
    stars = STARS.match(text)
    if stars is None:
        return None
    rest = text[stars.end() :]
    word, _, after = rest.partition(" ")
    return Headline(stars.group(), word, after) if word in keywords else Headline(stars.group(), "", rest)


@dataclass(frozen=True, slots=True)
class Checkbox:
    """`bullet` with its indentation and blanks; `rest` begins with a blank or is empty."""

    bullet: str
    state: str
    rest: str

    def __str__(self) -> str:
        return f"{self.bullet}[{self.state}]{self.rest}"

    @property
    def is_done(self) -> bool:
        return self.state in "xX"

    @property
    def indentation(self) -> int:
        return len(self.bullet) - len(self.bullet.lstrip())


def checkbox_of(text: str) -> Checkbox | None:
    """A line as an item with a checkbox; None when it is none."""
    found = _CHECKBOX.fullmatch(text)
    return found and Checkbox(found["bullet"], found["state"], found["rest"])


def tagged(title: str, tags: Sequence[str]) -> str:
    """A title with its tags."""
    return f"{title} :{':'.join(tags)}:".lstrip() if tags else title
