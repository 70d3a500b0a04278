"""ActiveEditor as the open document of a turn."""

from typing import Literal

from agents.document import OpenDocument
from orchestrator.codec import validation
from orchestrator.codec.validation import Violations
from protos import orchestrator_pb2 as pb

_PREFERENCES = ("", "prefer", "ignore")
_NAMES = ("filename", "language", "canonical_path", "document_id", "folder_id", "file_path")
_FRONT = ("type", "title", "author", "status")
_Offset = Literal["cursor_offset", "selection_start", "selection_end"]
_OFFSETS: tuple[_Offset, ...] = ("cursor_offset", "selection_start", "selection_end")
_UNKNOWN = -1


def check_editor(check: Violations, editor: pb.ActiveEditor) -> None:
    check.text("active_editor.content", editor.content, validation.DOCUMENT_BYTES)
    check.one_of("active_editor.editor_preference", editor.editor_preference, _PREFERENCES)
    for name in _NAMES:
        check.characters(f"active_editor.{name}", getattr(editor, name), validation.PATH_CHARACTERS)
    _check_front_matter(check, editor.frontmatter)
    for name in _OFFSETS:
        if editor.HasField(name):
            at = getattr(editor, name)
            check.between(f"active_editor.{name}", at, _UNKNOWN, len(editor.content))
    if (selected := _selection(editor)) is not None and selected[0] > selected[1]:
        check.add("active_editor.selection_end", "must not be before selection_start")


def document_of(request: pb.ChatRequest) -> OpenDocument | None:
    """The document, where there is one that may be edited and is to be used."""
    editor = request.active_editor
    ignored = editor.editor_preference == "ignore"
    if not request.HasField("active_editor") or ignored or not editor.is_editable:
        return None
    front = editor.frontmatter
    named = [(name, getattr(front, name)) for name in _FRONT]
    return OpenDocument(
        filename=editor.filename,
        language=editor.language,
        content=editor.content,
        document_id=editor.document_id,
        type=front.type,
        front_matter=(
            *((name, value) for name, value in [*named, ("tags", ", ".join(front.tags))] if value),
            *sorted(front.custom_fields.items()),
        ),
        cursor=_offset(editor, "cursor_offset"),
        selection=_selection(editor),
    )


def _check_front_matter(check: Violations, front: pb.EditorFrontmatter) -> None:
    field, most = "active_editor.frontmatter", validation.FRONT_MATTER_CHARACTERS
    for name in _FRONT:
        check.characters(f"{field}.{name}", getattr(front, name), most)
    for entries in ("tags", "custom_fields"):
        if len(getattr(front, entries)) > validation.FRONT_MATTER_ENTRIES:
            check.add(f"{field}.{entries}", f"may have at most {validation.FRONT_MATTER_ENTRIES} entries")
    for tag in front.tags:
        check.characters(f"{field}.tags", tag, validation.NAME_CHARACTERS)
    for name, value in sorted(front.custom_fields.items()):
        check.characters(f"{field}.custom_fields", name, validation.NAME_CHARACTERS)
        check.text(f"{field}.custom_fields", value, most)


def _selection(editor: pb.ActiveEditor) -> tuple[int, int] | None:
    begin, end = _offset(editor, "selection_start"), _offset(editor, "selection_end")
    return None if begin is None or end is None else (begin, end)


def _offset(editor: pb.ActiveEditor, name: _Offset) -> int | None:
    at: int = getattr(editor, name)
    return at if editor.HasField(name) and at != _UNKNOWN else None
