"""The images of a conversation: each once, as plain data, and how messages show them to a model."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict

from agents.turn import AttachedImage
from state.models import Image, Message, Role, ToolCall

KEPT_BYTES = 12 << 20
"""So much of a conversation's images is kept, the newest; every turn reads them all."""


class StoredImage(TypedDict):
    """An image as a checkpoint keeps it."""

    mime_type: str
    data: bytes


class ImageOf(TypedDict):
    """An image of one message: `digest` finds it among the stored ones, if it is still kept."""

    digest: str
    name: str


class StoredCall(TypedDict):
    """A wish to use a tool: `id` is ours, `name` and `arguments` as every model may be shown them again."""

    id: str
    name: str
    arguments: str


class StoredMessage(TypedDict):
    """A message as a checkpoint keeps it: plain data.

    `tool_calls` are an assistant's, `tool_call_id` says which of them a tool's message answers. `untrusted`:
    third parties have a part in it.
    """

    role: Role
    content: str
    images: NotRequired[list[ImageOf]]
    tool_calls: NotRequired[list[StoredCall]]
    tool_call_id: NotRequired[str]
    untrusted: NotRequired[bool]


def attached(images: Iterable[AttachedImage]) -> tuple[list[ImageOf], dict[str, StoredImage]]:
    """What a message says of its images, and the images themselves by digest."""
    named: list[ImageOf] = []
    stored: dict[str, StoredImage] = {}
    for one in images:
        image = one.image
        digest = hashlib.sha256(image.mime_type.encode() + b"\0" + image.data).hexdigest()
        named.append(ImageOf(digest=digest, name=one.name))
        stored[digest] = StoredImage(mime_type=image.mime_type, data=image.data)
    return named, stored


def kept(messages: Sequence[StoredMessage], stored: Mapping[str, StoredImage]) -> dict[str, StoredImage]:
    """Those of the newest messages, as far as they have room; of the last message all."""
    found: dict[str, StoredImage] = {}
    left = KEPT_BYTES
    for message in reversed(messages):
        for one in message.get("images", ()):
            if (image := stored.get(one["digest"])) is None or one["digest"] in found:
                continue
            left -= len(image["data"])
            if left < 0 and message is not messages[-1]:
                return found
            found[one["digest"]] = image
    return found


def shown(message: StoredMessage, stored: Mapping[str, StoredImage], *, seen: bool) -> Message:
    """A message for a model that sees images, or for one that is told of them.

    What a tool has brought is data: it stands between two marks that nobody outside can know.
    """
    content, images = message["content"], list[Image]()
    for one in message.get("images", ()):
        label = one["name"] or "an image"
        if seen and (image := stored.get(one["digest"])) is not None:
            images.append(Image(image["mime_type"], image["data"]))
            if one["name"]:
                content += f"\n\n[attached: {label}]"
        else:
            content += f"\n\n[{label} was attached, which you cannot see]"
    if call_id := message.get("tool_call_id", ""):
        # A backend is told the number, and may tell it on: then it must not end the data before its end.
        content = f"[data {call_id} begins]\n{content.replace(call_id, '...')}\n[data {call_id} ends]"
    calls = tuple(ToolCall(c["id"], c["name"], c["arguments"]) for c in message.get("tool_calls", ()))
    return Message(message["role"], content, tuple(images), calls, call_id)
