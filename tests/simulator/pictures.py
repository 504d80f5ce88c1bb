"""Images and PDFs as small as they can be, for requests that carry some."""

import struct
import zlib
from base64 import b64encode
from typing import Any


def png(width: int = 2, height: int = 2) -> bytes:
    """A black picture. Only its header is as large as it says when it is a large one."""
    rows = b"".join(b"\0" + b"\0" * width for _ in range(min(height, 4)))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(width: int, height: int) -> bytes:
    """The header of a JPEG: a segment of the application's own, filled up, then the frame."""
    app = b"\xff\xe0" + struct.pack(">H", 18) + b"JFIF\0" + b"\0" * 11
    frame = struct.pack(">HBHHB", 8, 8, height, width, 1)
    return b"\xff\xd8" + app + b"\xff" + b"\xff\xc0" + frame + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def webp(kind: bytes, width: int, height: int) -> bytes:
    sizes = {
        b"VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
        b"VP8X": b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }
    data = kind + struct.pack("<I", len(sizes[kind])) + sizes[kind]
    return b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data


def pdf(pages: int = 1) -> bytes:
    kids = b"".join(b"%d 0 obj <</Type /Page>> endobj\n" % (i + 3) for i in range(pages))
    return b"%PDF-1.4\n2 0 obj <</Type /Pages /Count 1>> endobj\n" + kids + b"%%EOF"


def image(data: bytes, kind: str = "png") -> dict[str, Any]:
    source = {"type": "base64", "media_type": f"image/{kind}", "data": b64encode(data).decode()}
    return {"type": "image", "source": source}


def image_at(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def text_document(text: str, **more: Any) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "source": source, **more}


def pdf_document(data: bytes, **more: Any) -> dict[str, Any]:
    encoded = b64encode(data).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": encoded}
    return {"type": "document", "source": source, **more}
