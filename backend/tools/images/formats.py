"""What an image is, by its own bytes: nothing that a service says of them is believed."""

import struct
from dataclasses import dataclass

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_LARGEST_SIDE = 16_384
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


class NoImageError(ValueError):
    """These bytes are no PNG, JPEG or WebP image."""


@dataclass(frozen=True, slots=True)
class ImageShape:
    """`format` is a key of MEDIA_TYPES; `width` and `height` are pixels."""

    format: str
    width: int
    height: int


def shape_of(content: bytes) -> ImageShape:
    """Format and size.

    Raises:
        NoImageError: It is none of a kind that is kept.
    """
    try:
        shape = _shape(content)
    except (struct.error, IndexError) as error:
        raise NoImageError("the image is cut off") from error
    if not (0 < shape.width <= _LARGEST_SIDE and 0 < shape.height <= _LARGEST_SIDE):
        raise NoImageError("the image has no size")
    return shape


def _shape(content: bytes) -> ImageShape:
    if content.startswith(_PNG) and content[12:16] == b"IHDR":
        return ImageShape("png", *struct.unpack_from(">II", content, 16))
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _webp(content)
    raise NoImageError("it is no PNG, JPEG or WebP image")


def _jpeg(content: bytes) -> ImageShape:
    place = 2
    while content[place] == 0xFF:  # noqa: PLR2004 - a marker
        marker = content[place + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return ImageShape("jpeg", width, height)
        (length,) = struct.unpack_from(">H", content, place + 2)
        place += 2 + length
    raise NoImageError("it is no JPEG image")


def _webp(content: bytes) -> ImageShape:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = bytes(struct.unpack_from("6B", content, 24))
        width, height = (int.from_bytes(side, "little") + 1 for side in (sides[:3], sides[3:]))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    else:
        raise NoImageError("it is no WebP image")
    return ImageShape("webp", width, height)
