"""Edits of a document: what a model proposes by quoting, and where that stands in the document."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

OpType = Literal["replace_range", "insert_after", "insert_after_heading", "delete_range"]
_SHOWN_CHARACTERS = 60
_HEADING = ("#", "*")


class EditError(Exception):
    """An edit does not fit the document; the message tells the model why."""


class ProposedEdit(BaseModel):
    """One edit in the model's words: `original_text` and `anchor_text` quote the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    op_type: OpType
    original_text: str
    anchor_text: str
    text: str
    note: str
    confidence: Annotated[float, Field(ge=0, le=1)]


class Proposal(BaseModel):
    """What the model answers: a short text, and the edits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: str
    operations: tuple[ProposedEdit, ...]


def placed(content: str, edits: Sequence[ProposedEdit]) -> tuple[list[dict[str, Any]], list[str]]:
    """The operations in the order of the document, and what is wrong with those that do not fit.

    Offsets count Unicode code points of `content` as it is: who applies them begins with the last one.
    """
    operations: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, edit in enumerate(edits, 1):
        try:
            operations.append(_operation(content, edit))
        except EditError as error:
            problems.append(f"Operation {number} ({edit.op_type}): {error}")
    operations.sort(key=lambda one: (one["start"], one["end"]))
    for first, second in pairwise(operations):
        if first["end"] > second["start"] or first["start"] == second["start"]:
            where = _quoted(second["original_text"] or second["anchor_text"])
            problems.append(f"Two operations change the same place, at {where}: make them one.")
    return operations, problems


def applied(content: str, operations: Iterable[dict[str, Any]]) -> str:
    """The document after the operations.

    Raises:
        EditError: A slice is no longer as it was.
    """
    for one in sorted(operations, key=lambda one: one["start"], reverse=True):
        start, end = one["start"], one["end"]
        if hash_of(content[start:end]) != one["pre_hash"]:
            raise EditError("the document has changed")
        content = content[:start] + one["text"] + content[end:]
    return content


def hash_of(text: str) -> str:
    """SHA-256 of its UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _operation(content: str, edit: ProposedEdit) -> dict[str, Any]:
    text = edit.text
    match edit.op_type:
        case "replace_range" | "delete_range":
            start = _found(content, edit.original_text, edit.anchor_text)
            end = start + len(edit.original_text)
            text = "" if edit.op_type == "delete_range" else text
        case "insert_after":
            start = end = _after(content, edit.anchor_text)
        case "insert_after_heading":
            start = end = _after_heading(content, edit.anchor_text)
            opening = "\n" if content[:start] and not content[:start].endswith("\n") else ""
            text = opening + (text if text.endswith("\n") else f"{text}\n")
        case _:
            assert_never(edit.op_type)
    return {
        "op_type": edit.op_type,
        "start": start,
        "end": end,
        "text": text,
        "pre_hash": hash_of(content[start:end]),
        "original_text": content[start:end],
        "anchor_text": edit.anchor_text,
        "note": edit.note,
        "confidence": edit.confidence,
    }


def _found(content: str, original: str, anchor: str) -> int:
    """Where the original stands: where alone it does, or in or next after an anchor that stands once."""
    if not original:
        raise EditError("original_text is empty; quote what is to change.")
    places = _places(content, original)
    if len(places) == 1:
        return places[0]
    if not places:
        raise EditError(f"the document does not hold {_quoted(original)}, letter by letter.")
    if not anchor:
        raise EditError(
            f"{_quoted(original)} stands there more than once; quote more of it, or give an anchor_text that "
            "stands once and holds it, or stands before it."
        )
    begin = _once(content, anchor)
    inside = [at for at in places if begin <= at and at + len(original) <= begin + len(anchor)]
    if len(inside) > 1:
        raise EditError(f"the anchor_text {_quoted(anchor)} holds the original_text more than once.")
    after = inside or [at for at in places if at >= begin + len(anchor)]
    if not after:
        raise EditError(f"the original_text does not stand in or after the anchor_text {_quoted(anchor)}.")
    return after[0]


def _after(content: str, anchor: str) -> int:
    if not anchor and not content:
        return 0
    return _once(content, anchor) + len(anchor)


def _after_heading(content: str, anchor: str) -> int:
    wanted, at, ends = anchor.strip(), 0, list[int]()
    for line in content.split("\n") if wanted else ():
        at = min(at + len(line) + 1, len(content))
        if line.startswith(_HEADING) and wanted in (line.strip(), line.lstrip("".join(_HEADING)).strip()):
            ends.append(at)
    if len(ends) != 1:
        how = "more than one heading is" if ends else "no heading is"
        raise EditError(f"{how} {_quoted(anchor)}; give one heading's whole line as the anchor_text.")
    return ends[0]


def _once(content: str, anchor: str) -> int:
    if not anchor:
        raise EditError("anchor_text is empty; quote what stands before the place.")
    places = _places(content, anchor)
    if len(places) != 1:
        how = "more than once" if places else "not at all"
        raise EditError(f"the anchor_text {_quoted(anchor)} stands there {how}; quote what stands once.")
    return places[0]


def _places(content: str, wanted: str) -> list[int]:
    """Where it begins, also where one overlaps the other; two are enough to know that it is not alone."""
    places, at = list[int](), content.find(wanted)
    while at >= 0:
        places.append(at)
        at = content.find(wanted, at + 1)
    return places


def _quoted(text: str) -> str:
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return f"{shown!r}"
