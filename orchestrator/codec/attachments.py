"""Attachments as the images and texts of a turn."""

from collections.abc import Iterable

from agents.images import KEPT_BYTES
from agents.turn import AttachedImage, AttachedText
from orchestrator.codec import validation
from orchestrator.codec.validation import Violations
from protos import orchestrator_pb2 as pb
from state.errors import UnimplementedError
from state.models import Image

_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
"""What data of each type begins with. These are the types that vendors take."""

_TEXTS = ("text/plain", "text/markdown", "text/csv", "application/json")
"""What is shown to any model, as data."""


def check_attachments(check: Violations, attachments: Iterable[pb.Attachment]) -> None:
    sizes, text_sizes = [], []
    for index, attachment in enumerate(attachments):
        field = f"attachments[{index}]"
        check.characters(f"{field}.name", attachment.name, validation.NAME_CHARACTERS)
        if attachment.WhichOneof("source") is None:
            check.add(field, "needs data or document_id")
        elif attachment.HasField("data"):
            sizes.append(len(attachment.data))
            if attachment.mime_type in _TEXTS:
                text_sizes.append(len(attachment.data))
                _check_text(check, field, attachment.data)
            else:
                _check_image(check, field, attachment)
    if len(sizes) > validation.ATTACHMENTS:
        check.add("attachments", f"may have at most {validation.ATTACHMENTS} entries")
    if sum(sizes) > KEPT_BYTES:
        check.add("attachments", f"may have at most {KEPT_BYTES} bytes together")
    if sum(text_sizes) > validation.TEXTS_BYTES:
        check.add("attachments", f"may have at most {validation.TEXTS_BYTES} bytes of text together")


def refuse_documents(attachments: Iterable[pb.Attachment]) -> None:
    """Raises UnimplementedError for what would have to be read from the caller's backend."""
    if any(attachment.HasField("document_id") for attachment in attachments):
        raise UnimplementedError("attachments.document_id is not supported by this release")


def images_of(attachments: Iterable[pb.Attachment]) -> tuple[AttachedImage, ...]:
    images = (one for one in attachments if one.mime_type not in _TEXTS)
    return tuple(AttachedImage(one.name, Image(one.mime_type, one.data)) for one in images)


def texts_of(attachments: Iterable[pb.Attachment]) -> tuple[AttachedText, ...]:
    texts = (one for one in attachments if one.mime_type in _TEXTS)
    return tuple(AttachedText(one.name, one.mime_type, one.data.decode("utf-8-sig")) for one in texts)


def _check_text(check: Violations, field: str, data: bytes) -> None:
    if not data.strip():
        check.add(f"{field}.data", "is empty")
    elif len(data) > validation.TEXT_BYTES:
        check.add(f"{field}.data", f"may have at most {validation.TEXT_BYTES} bytes")
    elif not _is_text(data):
        check.add(f"{field}.data", "is no text in UTF-8")


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _check_image(check: Violations, field: str, attachment: pb.Attachment) -> None:
    kind, data = attachment.mime_type, attachment.data
    if kind not in _SIGNATURES:
        check.one_of(f"{field}.mime_type", kind, (*_SIGNATURES, *_TEXTS))
    elif not data.startswith(_SIGNATURES[kind]) or (kind == "image/webp" and data[8:12] != b"WEBP"):
        check.add(f"{field}.data", f"is no {kind}")
    elif len(data) > validation.IMAGE_BYTES:
        check.add(f"{field}.data", f"may have at most {validation.IMAGE_BYTES} bytes")
