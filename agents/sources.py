"""What tools have found, as numbered sources: what results name by address or document id."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from agents.document import fenced
from agents.images import StoredMessage
from providers.estimate import estimate_tokens

_ADDRESSES = ("url", "uri", "link")
_TITLES = ("title", "name", "document_name", "filename", "feed_name")
_NO_TEXT = frozenset((*_ADDRESSES, *_TITLES, "document_id", "format", "content_type"))
_ADDRESS = re.compile(r"https?://[^\s\"'<>\\)\]}]+")
_MOST_SOURCES = 60
_LONGEST_CHARACTERS = 16_000
_SHORTEST_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """Either `uri` or `document_id` is set. `id` is its number as the answer cites it, from "1"."""

    id: str
    title: str
    uri: str
    document_id: str
    text: str

    @property
    def citation(self) -> dict[str, str]:
        """As the wire has it: what is empty is left out."""
        values = {"id": self.id, "uri": self.uri, "title": self.title, "document_id": self.document_id}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class Findings:
    """All sources in the order in which they were found; `others` are results that name none."""

    sources: tuple[Source, ...]
    others: tuple[str, ...]

    def shown(self, tokens: int) -> str:
        """All of it as material for a model, each text as far as all have room in so many tokens."""
        most = _LONGEST_CHARACTERS
        while estimate_tokens(text := self._text(most)) > tokens and most > _SHORTEST_CHARACTERS:
            most //= 2
        return fenced("what was found", text)

    def _text(self, most: int) -> str:
        found = [f"[{s.id}] {s.title or s.uri or s.document_id}\n{_cut(s.text, most)}" for s in self.sources]
        return "\n\n".join([*found, *(_cut(other, most) for other in self.others)]) or "Nothing was found."


def findings(messages: Sequence[StoredMessage]) -> Findings:
    """What the results among the messages hold; their numbers stay as more results come."""
    known: dict[str, Source] = {}
    others: list[str] = []
    for message in messages:
        if message["role"] != "tool":
            continue
        named = list(_named(message["content"]))
        if not any(source.text for source in named):
            others.append(message["content"])
        for source in named:
            _add(known, source)
    return Findings(tuple(known.values()), tuple(others))


def _add(known: dict[str, Source], new: Source) -> None:
    key = new.uri or new.document_id
    old = known.get(key)
    if old is None:
        if len(known) < _MOST_SOURCES:
            known[key] = replace(new, id=str(len(known) + 1))
    else:
        text = old.text if new.text in old.text else "\n".join(filter(None, (old.text, new.text)))
        known[key] = replace(old, title=old.title or new.title, text=text)


def _named(result: str) -> Iterator[Source]:
    try:
        yield from _in(orjson.loads(result))
    except orjson.JSONDecodeError:  # words, or cut off
        for address in _ADDRESS.findall(result):
            yield Source("", "", address.rstrip(".,;:"), "", "")


def _in(value: Any) -> Iterator[Source]:  # noqa: ANN401 - any JSON
    left = [value]  # and no recursion: JSON is read in deeper nesting than Python calls itself
    while left:
        one = left.pop()
        if isinstance(one, list):
            left.extend(reversed(one))
        elif isinstance(one, dict):
            source = _source(one)
            if source is None:
                left.extend(reversed(one.values()))
            else:
                yield source


def _source(value: dict[str, Any]) -> Source | None:
    uri = next((at for name in _ADDRESSES if _ADDRESS.fullmatch(at := _string(value, name))), "")
    document_id = "" if uri else _string(value, "document_id")
    if not uri and not document_id:
        return None
    title = next(filter(None, (_string(value, name) for name in _TITLES)), "")
    texts = [said for name, said in value.items() if name not in _NO_TEXT and isinstance(said, str)]
    return Source("", title, uri, document_id, "\n".join(filter(None, texts)))


def _string(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[the rest is left out]"
