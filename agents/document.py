"""The document that is open in the user's editor, as a model is shown it."""

from dataclasses import dataclass
from uuid import uuid4

from providers.estimate import characters_in

_NEAR_CHARACTERS = 80
"""Before and after the cursor: enough to find the place."""


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """A document for one turn. Offsets count Unicode code points of `content`.

    `front_matter` is what the editor says of the document, by name. `selection`: from, and up to but without.
    """

    filename: str
    language: str
    content: str
    document_id: str = ""
    type: str = ""
    front_matter: tuple[tuple[str, str], ...] = ()
    cursor: int | None = None
    selection: tuple[int, int] | None = None


def shown(document: OpenDocument, *, most_tokens: int | None = None) -> str:
    """What stands in it, what is selected and where the cursor is, each between marks of its own.

    Of a text or a selection with more than `most_tokens` stands the beginning there, and that it was cut.
    """
    content = document.content
    about = [f"{name}: {value}" for name, value in document.front_matter]
    if document.language:
        about.append(f"language: {document.language}")
    parts = [fenced("about the document", "\n".join([f"file: {document.filename}", *about]))]
    if document.selection is not None:
        begin, end = document.selection
        parts.append(fenced("selected", cut(content[begin:end], most_tokens)))
    if document.cursor is not None:
        at = document.cursor
        before, behind = content[max(0, at - _NEAR_CHARACTERS) : at], content[at : at + _NEAR_CHARACTERS]
        parts.append(fenced("around the cursor", f"{before}[cursor]{behind}"))
    return "\n\n".join([*parts, fenced("document", cut(content, most_tokens))])


def cut(text: str, most_tokens: int | None) -> str:
    """As much of a text as that, by an estimate, and a line that says so where it is not all."""
    most = None if most_tokens is None else characters_in(text, most_tokens)
    return text if most is None else f"{text[:most]}\n[cut here, after {most} of {len(text)} characters]"


def fenced(name: str, text: str) -> str:
    """A text that is material, between two lines with a number of its own."""
    mark = uuid4().hex
    return f"[data {mark} begins: {name}]\n{text}\n[data {mark} ends]"
