"""Images and PDFs as bytes: what they are by their first bytes, how large, how many pages.

Owns the formats, knows nothing of requests. Stands at the bottom, beside `tokens`.
"""

import binascii
import re
import struct
from collections.abc import Iterator

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PNG = b"\x89PNG\r\n\x1a\n"
_FIRST_BYTES = {"image/jpeg": b"\xff\xd8\xff", "image/png": _PNG, "image/gif": b"GIF8"}
_PAGE = re.compile(rb"/Type\s*/Page\b")
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers between those of frames that begin no frame."""

Size = tuple[int, int]
"""Width and height in pixels."""


def decoded(data: str) -> bytes | None:
    """The bytes of base64, None when it is none by the letter of the standard."""
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def image_type(image: bytes) -> str:
    """The media type that the first bytes show, empty when it is none that the API takes."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    found = (kind for kind, first in _FIRST_BYTES.items() if image.startswith(first))
    return next(found, "")


def image_size(image: bytes) -> Size | None:
    """Width and height as the header says them, None when there is no proper header."""
    readers = {
        "image/png": _png_size,
        "image/gif": _gif_size,
        "image/webp": _webp_size,
        "image/jpeg": _jpeg_size,
    }
    try:
        size = readers[image_type(image)](image)
    except (KeyError, IndexError, struct.error):
        return None
    return size if size and min(size) > 0 else None


def pdf_pages(pdf: bytes) -> int:
    """The pages that can be counted without reading what is compressed; at least one."""
    return max(1, len(_PAGE.findall(pdf)))


def _png_size(image: bytes) -> Size | None:
    return struct.unpack_from(">II", image, 16) if image[12:16] == b"IHDR" else None


def _gif_size(image: bytes) -> Size | None:
    return struct.unpack_from("<HH", image, 6)


def _webp_size(image: bytes) -> Size | None:
    kind = image[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", image, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", image, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = image[24:27], image[27:30]
        if len(height) == 3:
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    return None


def _jpeg_size(image: bytes) -> Size | None:
    for marker, start in _jpeg_segments(image):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", image, start + 3)
            return width, height
    return None


def _jpeg_segments(image: bytes) -> Iterator[tuple[int, int]]:
    """Each marker of the header, and where its length stands."""
    position = 2
    while image[position] == 0xFF:
        marker = image[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        yield marker, position + 2
        (length,) = struct.unpack_from(">H", image, position + 2)
        position += 2 + length
