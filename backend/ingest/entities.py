"""Which entities a document declares.

The rule: only what its front matter names under a key of the table below. Nothing is guessed from the text,
so nothing is an entity that nobody called one. Which other documents name an entity is looked up in their
words when it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TYPES: Mapping[str, str] = {
    "author": "person",
    "authors": "person",
    "translator": "person",
    "director": "person",
    "directors": "person",
    "actors": "person",
    "cast": "person",
    "characters": "person",
    "person": "person",
    "people": "person",
    "place": "place",
    "places": "place",
    "location": "place",
    "locations": "place",
    "organisation": "organisation",
    "organisations": "organisation",
    "organization": "organisation",
    "organizations": "organisation",
    "publisher": "organisation",
    "work": "work",
    "works": "work",
    "series": "work",
}
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Declared:
    """An entity of a document; `role` is the key under which it stands."""

    entity_type: str
    name: str
    role: str


def declared_entities(front_matter: Mapping[str, Sequence[str]]) -> Iterator[Declared]:
    """What the front matter names."""
    for key, names in front_matter.items():
        if key in _TYPES:
            for name in names:
                if len(name) <= _LONGEST_NAME:
                    yield Declared(_TYPES[key], name, key)
