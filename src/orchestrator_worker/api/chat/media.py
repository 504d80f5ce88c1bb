"""Pictures and files that a request carries: from data URLs to blocks for Claude.

Nothing is ever fetched: an address that somebody else names is for Claude to open, since a service
that opened it would reach whatever stands behind its own firewall.
"""

import base64
import binascii
import re

from orchestrator_worker.claude.client import Document, Image

MAX_TITLE_CHARS = 200
_DATA_URL = re.compile(
    r"data:([\w.+-]{1,100}/[\w.+-]{1,100})?((?:;[\w.+-]{1,40}=[^;,]{0,200}){0,5});base64,",
    re.IGNORECASE,
)
_TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/javascript",
        "application/x-sh",
        "application/sql",
    }
)
_ADDRESS = re.compile(r"[^\s/?#@\\]{1,260}(?:[/?#][\x21-\x7e]*)?")
"""Host and the rest of an address, without a name and password before the host."""
_HEAD_BYTES = 12
_PDF = b"%PDF-"


def image_from(url: str) -> Image:
    """Return the picture that an `image_url` names.

    Raises:
        ValueError: it is no `https:` address and no data URL of a PNG, JPEG, GIF or WebP.
    """
    if url[:8].lower() == "https://":
        if not _ADDRESS.fullmatch(url[8:]):
            raise ValueError("is no https: address")
        return Image(url=f"https://{url[8:]}")
    if not url.lower().startswith("data:"):
        raise ValueError("must be an https: address or a data: URL")
    _, data, decoded = _opened(url)
    # What it is, whatever it is called: Claude refuses a JPEG that is said to be a PNG.
    media_type = _image_type(decoded[:_HEAD_BYTES])
    if media_type is None:
        raise ValueError("is not a PNG, JPEG, GIF or WebP image")
    return Image(media_type=media_type, data=data)


def document_from(url: str, name: str | None) -> Document:
    """Return the file that `file_data` holds.

    Raises:
        ValueError: it is no data URL of a PDF or of text in UTF-8.
    """
    media_type, data, decoded = _opened(url)
    title = (name or "").strip()[:MAX_TITLE_CHARS] or None
    if decoded.startswith(_PDF):
        return Document("application/pdf", data, title)
    if media_type == "application/pdf":
        raise ValueError("is not a PDF")
    if not (media_type.startswith("text/") or media_type in _TEXT_TYPES):
        raise ValueError(f"is {media_type}; only PDF and text files can be read")
    try:
        text = decoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is text, but not in UTF-8") from error
    if not text.strip():
        raise ValueError("is empty")
    return Document("text/plain", text, title)


def _opened(url: str) -> tuple[str, str, bytes]:
    """Return a data URL's media type, its base64 and what that is."""
    head = _DATA_URL.match(url)
    if head is None:
        raise ValueError("must be a data: URL in base64")
    data = "".join(url[head.end() :].split())
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64") from error
    if not decoded:
        raise ValueError("is empty")
    return (head[1] or "text/plain").lower(), data, decoded


def _image_type(head: bytes) -> str | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if head[:4] == b"RIFF" and head[8:] == b"WEBP" else None
