"""From a file to a document that searches find."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from backend.ingest.entities import Declared, declared_entities
from backend.ingest.passages import Passage, passages
from backend.ingest.reading import CONTENT_TYPES, Format, format_of, read

MOST_BYTES = 8 << 20
MOST_PASSAGES = 20_000
_LONGEST_NAME = 500
_LONGEST_TAG = 100


class DocumentRefusedError(ValueError):
    """It cannot be stored; the message says why, and may be told to whoever sent it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file made ready to be stored. `metadata` is what its front matter says, except of tags."""

    filename: str
    title: str
    format: Format
    content: str
    passages: Sequence[Passage]
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    entities: Sequence[Declared] = ()

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.format]

    @property
    def sha256(self) -> bytes:
        """Of all that was given: the same file again is the same document."""
        told = "\0".join((self.format, self.title, *self.tags, self.content))
        return hashlib.sha256(told.encode()).digest()


def document_of(
    filename: str, content: str, *, kind: Format | None = None, tags: Sequence[str] = ()
) -> Document:
    """A file as a document. `kind` None = by the name's ending; `tags` come to those in the front matter.

    Raises:
        DocumentRefusedError: It has no name, holds a NUL, or is larger than MOST_BYTES or MOST_PASSAGES.
    """
    if not filename or len(filename) > _LONGEST_NAME or "\0" in filename + content:
        raise DocumentRefusedError(
            f"A document needs a name, of at most {_LONGEST_NAME} characters, and no NUL."
        )
    if len(content.encode()) > MOST_BYTES:
        raise DocumentRefusedError(f"A document has at most {MOST_BYTES} bytes.")
    kind = kind or format_of(filename)
    found = read(content, kind)
    cut = tuple(islice(passages(found.text, headings=kind != "text"), MOST_PASSAGES + 1))
    if len(cut) > MOST_PASSAGES:
        raise DocumentRefusedError(f"A document has at most {MOST_PASSAGES} passages.")
    all_tags = {tag.lower() for tag in (*tags, *found.declared.get("tags", ())) if len(tag) <= _LONGEST_TAG}
    return Document(
        filename=filename,
        title=(found.title or filename)[:_LONGEST_NAME],
        format=kind,
        content=content,
        passages=cut,
        metadata={key: ", ".join(values) for key, values in found.declared.items() if key != "tags"},
        tags=sorted(all_tags),
        entities=tuple(dict.fromkeys(declared_entities(found.declared))),
    )
