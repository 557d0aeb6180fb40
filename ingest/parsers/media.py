"""What a file is, by its content: its name and what its source says of it may be wrong.

Nothing is inflated here without a bound: of an image only the header is read, and of a compressed page
no more than the longest text that is taken.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

import orjson

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.charsets import decoded
from ingest.parsers.image_size import image_size

MAX_TEXT_BYTES = 5_000_000
"""Longest page or text that is read: a posting has some 100 kB, most of it looks."""
MAX_BYTES = 100_000_000
"""Largest file that is read, as much as Upstage takes in one request."""
MAX_PIXELS = 200_000_000
"""Largest image, as for Upstage. A parser may have a lower limit of its own."""


class Kind(StrEnum):
    """What can be read."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"
    PDF = "application/pdf"
    HTML = "text/html"
    TEXT = "text/plain"
    JSON = "application/json"

    @property
    def is_image(self) -> bool:
        """Whether it has to be looked at."""
        return self.value.startswith("image/")

    @property
    def suffix(self) -> str:
        """How the name of such a file ends: `.png`."""
        return ".txt" if self is Kind.TEXT else f".{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class Known:
    """A file that is known: what it is and, where it is text, the text."""

    kind: Kind
    text: str = ""


_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"BM", Kind.BMP),
    (b"II*\0", Kind.TIFF),
    (b"MM\0*", Kind.TIFF),
)
_OTHERS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Word, Excel, PowerPoint or Hangul; save it as PDF"),
    (b"HWP Document File", "a document of Hangul; save it as PDF"),
    (b"{\\rtf", "a document in RTF; save it as PDF"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\xfd7zXZ\0", "an XZ archive; unpack it"),
    (b"(\xb5/\xfd", "a Zstandard archive; unpack it"),
    (b"8BPS", "a Photoshop image; save it as PNG"),
    (b"\0\0\1\0", "an icon"),
    (b"%!PS", "a PostScript document; save it as PDF"),
    (b"ID3", "a sound"),
    (b"OggS", "a sound or a film"),
    (b"\x1aE\xdf\xa3", "a film"),
    (b"MZ", "a program"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"PAR1", "a Parquet file"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)
_ZIPPED = (
    (b"word/", "a document of Word; save it as PDF"),
    (b"xl/", "a sheet of Excel; save it as PDF"),
    (b"ppt/", "slides of PowerPoint; save them as PDF"),
    (b"application/hwp+zip", "a document of Hangul; save it as PDF"),
    (b"application/vnd.oasis", "a document of LibreOffice; save it as PDF"),
    (b"application/epub", "a book in EPUB"),
)
_TAG = (
    r"(?:html|head|body|title|meta|link|base|script|style|div|p|br|hr|span|a|img|table|thead|tbody|tr|td|th|ul|ol|li|"
    r"dl|dt|dd|h[1-6]|section|article|main|header|footer|nav|aside|b|strong|i|em|u|font|center|pre|blockquote|figure|"
    r"form|iframe|template|noscript|svg)"
)
_BEGINS_AS_HTML = re.compile(
    rf"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|{_TAG}(?=[\s/>]))",
    re.IGNORECASE | re.DOTALL,
)
_BEGINS_AS_XML = re.compile(r"\s*+<(?:\?xml|rss|feed|svg)\b", re.IGNORECASE)
_CLOSING_TAG = re.compile(rf"</{_TAG}>", re.IGNORECASE)
_PICTURES_HELD = re.compile(rb"data:image/[\w.+-]{1,40}[^,<>\"]{0,100},[A-Za-z0-9+/=%\r\n]+")
_FEW_TAGS = 3
"""Closing tags from which a text that does not begin as HTML still is: Markdown has one now and then."""


def recognised(file: RawFile) -> Known:
    """Says what a file is, and reads it where it is text.

    Raises:
        DocumentUnreadableError: it is nothing that can be read; the message says what it is, or what
            is wrong with it.
    """
    content = file.content
    if not content:
        raise _unreadable(file, "is empty")
    if len(content) > MAX_BYTES:
        raise _unreadable(file, f"has {len(content):,} bytes; at most {MAX_BYTES:,} are read")
    kind = _image_kind(content)
    if kind is not None:
        _check_size(file, kind)
        return Known(kind)
    # What stands before the header of a PDF is junk of mail programs and is passed over.
    if b"%PDF-" in content[:1024]:
        return Known(Kind.PDF)
    other = _other(content)
    if other is not None:
        raise _unreadable(file, f"is {other}")
    return _text(file, _inflated(file) if content.startswith(b"\x1f\x8b") else content)


def _image_kind(content: bytes) -> Kind | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Kind.WEBP
    kind = next((kind for magic, kind in _IMAGES if content.startswith(magic)), None)
    # Two letters are few: a bitmap has zeros in its header, a text has not.
    return None if kind is Kind.BMP and content[6:10] != bytes(4) else kind


def _check_size(file: RawFile, kind: Kind) -> None:
    try:
        width, height = image_size(file.content, kind.name)
    except ValueError as error:
        raise _unreadable(file, f"is a broken {kind.name} image: {error}") from error
    if width * height > MAX_PIXELS:
        raise _unreadable(
            file,
            f"has {width:,} × {height:,} pixels, {width * height / 1e6:,.0f} million; at most "
            f"{MAX_PIXELS / 1e6:,.0f} million are read. Make it smaller or cut it up",
        )


def _other(content: bytes) -> str | None:
    if content.startswith(b"PK\x03\x04"):
        # The names of a ZIP file's entries stand in it as they are: nothing has to be unpacked.
        return next((what for name, what in _ZIPPED if name in content), "a ZIP archive; unpack it")
    if content[4:8] == b"ftyp":
        is_image = content[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
        return "an image in HEIC or AVIF; save it as PNG" if is_image else "a film or a sound"
    return next((what for magic, what in _OTHERS if content.startswith(magic)), None)


def _inflated(file: RawFile) -> bytes:
    inflating = zlib.decompressobj(wbits=31)
    try:
        content = inflating.decompress(file.content, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise _unreadable(file, f"is a broken gzip file: {error}") from error
    if _image_kind(content) is not None or b"%PDF-" in content[:1024] or _other(content) is not None:
        raise _unreadable(file, "is a gzip archive; unpack it")
    return content


def _text(file: RawFile, content: bytes) -> Known:
    # The pictures that a page holds are no text of it.
    if len(content) > MAX_TEXT_BYTES and len(_PICTURES_HELD.sub(b"", content)) > MAX_TEXT_BYTES:
        raise _unreadable(file, f"has more than {MAX_TEXT_BYTES:,} bytes of text, so it is no posting")
    text = decoded(content)
    if text is None:
        raise _unreadable(file, f"is of an unknown kind (it begins with {content[:8].hex(' ')})")
    if not text.strip():
        raise _unreadable(file, "is empty")
    if text.lstrip()[0] in "{[" and _is_json(text):
        return Known(Kind.JSON, text)
    if _BEGINS_AS_HTML.match(text):
        return Known(Kind.HTML, text)
    if _BEGINS_AS_XML.match(text):
        raise _unreadable(file, "is XML and no page")
    closing = sum(1 for _, _ in zip(_CLOSING_TAG.finditer(text), range(_FEW_TAGS), strict=False))
    says_html = "html" in file.media_type and closing > 0
    return Known(Kind.HTML if says_html or closing == _FEW_TAGS else Kind.TEXT, text)


def _is_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict | list)
    except orjson.JSONDecodeError:
        return False


def _unreadable(file: RawFile, what: str) -> DocumentUnreadableError:
    return DocumentUnreadableError(f"{file.name or 'The file'} {what}.", file=file.name)
