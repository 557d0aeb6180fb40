"""What a file is, by its content: its name and what its source says of it may be wrong.

Nothing is inflated here without a bound: of an image only the header is read, and of a compressed page
no more than the longest text that is taken. Text is decoded from UTF-8, UTF-16 or CP949.
"""

from __future__ import annotations

import codecs
import io
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

import imagesize  # type: ignore[import-untyped]
import orjson

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError

MAX_TEXT_BYTES = 5_000_000  # longest page or text that is read: a posting has some 100 kB, most of it styles
MAX_BYTES = 100_000_000  # largest file that is read, as much as Upstage takes in one request
MAX_PIXELS = 200_000_000
"""Largest image, as for Upstage. A parser may have a lower limit of its own."""


class Kind(StrEnum):
    """The types of files that can be read, by their media types."""

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
        """Whether it needs a parser of images."""
        return self.value.startswith("image/")


@dataclass(frozen=True, slots=True)
class FileType:
    """What a file is and, where it is text, the decoded text."""

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
_REFUSED = (
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
_REFUSED_ZIPS = (
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
_HTML_START = re.compile(
    rf"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|{_TAG}(?=[\s/>]))",
    re.IGNORECASE | re.DOTALL,
)
_XML_START = re.compile(r"\s*+<(?:\?xml|rss|feed|svg)\b", re.IGNORECASE)
_CLOSING_TAG = re.compile(rf"</{_TAG}>", re.IGNORECASE)
_EMBEDDED_IMAGE = re.compile(rb"data:image/[\w.+-]{1,40}[^,<>\"]{0,100},[A-Za-z0-9+/=%\r\n]+")
_FEW_TAGS = 3  # closing tags from which a text is HTML whatever its start: Markdown has one now and then

_KOREAN = ("euc", "ks", "cp949", "ms949", "uhc", "windows-949", "x-windows-949")
"""How the names of Korean encodings begin. Pages that declare EUC-KR mostly are CP949."""
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)\b[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
_DECLARED_WITHIN = 4096
_BROKEN_UTF8, _BROKEN_CP949 = 0.1, 0.02
"""Shares of undecodable characters among those beyond ASCII up to which a text has only been damaged."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FEW_CONTROLS = 0.001


def detect_file_type(file: RawFile) -> FileType:
    """Finds out what a file is, and decodes it where it is text.

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
        return FileType(kind)
    # What stands before the header of a PDF is junk of mail programs and is passed over.
    if b"%PDF-" in content[:1024]:
        return FileType(Kind.PDF)
    refused = _refused_kind(content)
    if refused is not None:
        raise _unreadable(file, f"is {refused}")
    return _text_type(file, _gunzip(file) if content.startswith(b"\x1f\x8b") else content)


def image_size(content: bytes) -> tuple[int, int]:
    """Returns (width, height) of an image in pixels, from its header alone.

    Raises:
        ValueError: the header is broken.
    """
    width, height = imagesize.get(io.BytesIO(content), exif_rotation=False)
    if min(width, height) < 0:
        raise ValueError("its header cannot be read")
    if not width or not height:
        raise ValueError("it has no pixels")
    return width, height


def _image_kind(content: bytes) -> Kind | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Kind.WEBP
    kind = next((kind for magic, kind in _IMAGES if content.startswith(magic)), None)
    # Two letters are few: a bitmap has zeros in its header, a text has not.
    return None if kind is Kind.BMP and content[6:10] != bytes(4) else kind


def _check_size(file: RawFile, kind: Kind) -> None:
    try:
        width, height = image_size(file.content)
    except ValueError as error:
        raise _unreadable(file, f"is a broken {kind.name} image: {error}") from error
    if width * height > MAX_PIXELS:
        raise _unreadable(
            file,
            f"has {width:,} × {height:,} pixels, {width * height / 1e6:,.0f} million; at most "
            f"{MAX_PIXELS / 1e6:,.0f} million are read. Make it smaller or cut it up",
        )


def _refused_kind(content: bytes) -> str | None:
    """What a file is that cannot be read, in words; None where its first bytes are no known ones."""
    if content.startswith(b"PK\x03\x04"):
        # The names of a ZIP file's entries stand in it as they are: nothing has to be unpacked.
        return next((what for name, what in _REFUSED_ZIPS if name in content), "a ZIP archive; unpack it")
    if content[4:8] == b"ftyp":
        is_image = content[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
        return "an image in HEIC or AVIF; save it as PNG" if is_image else "a film or a sound"
    return next((what for magic, what in _REFUSED if content.startswith(magic)), None)


def _gunzip(file: RawFile) -> bytes:
    try:
        content = zlib.decompressobj(wbits=31).decompress(file.content, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise _unreadable(file, f"is a broken gzip file: {error}") from error
    if _image_kind(content) is not None or b"%PDF-" in content[:1024] or _refused_kind(content) is not None:
        raise _unreadable(file, "is a gzip archive; unpack it")
    return content


def _text_type(file: RawFile, content: bytes) -> FileType:
    # The images that a page embeds are not part of its text.
    if len(content) > MAX_TEXT_BYTES and len(_EMBEDDED_IMAGE.sub(b"", content)) > MAX_TEXT_BYTES:
        raise _unreadable(file, f"has more than {MAX_TEXT_BYTES:,} bytes of text, so it is no posting")
    text = _decode(content)
    if text is None:
        raise _unreadable(file, f"is of an unknown kind (it begins with {content[:8].hex(' ')})")
    if not text.strip():
        raise _unreadable(file, "is empty")
    if text.lstrip()[0] in "{[" and _is_json(text):
        return FileType(Kind.JSON, text)
    if _HTML_START.match(text):
        return FileType(Kind.HTML, text)
    if _XML_START.match(text):
        raise _unreadable(file, "is XML and no page")
    closing = sum(1 for _, _ in zip(_CLOSING_TAG.finditer(text), range(_FEW_TAGS), strict=False))
    declared = "html" in file.media_type and closing > 0
    return FileType(Kind.HTML if declared or closing == _FEW_TAGS else Kind.TEXT, text)


def _is_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict | list)
    except orjson.JSONDecodeError:
        return False


def _unreadable(file: RawFile, problem: str) -> DocumentUnreadableError:
    return DocumentUnreadableError(f"{file.name or 'The file'} {problem}.", file=file.name)


def _decode(content: bytes) -> str | None:
    """Returns the text of a file; None where it is binary.

    A byte order mark goes first, then whether it is UTF-8, then what the page declares, then CP949
    (which contains EUC-KR). A character that was cut or lost becomes U+FFFD.
    """
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _unless_binary(content.decode("utf-32", "replace"))
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _unless_binary(content.decode("utf-16", "replace"))
    if b"\0" in content[:1000] and not content.startswith(codecs.BOM_UTF8):
        return _decode_utf16(content)
    try:
        return _unless_binary(content.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    declared = _DECLARED.search(content[:_DECLARED_WITHIN])
    name = declared[1].decode("ascii").lower() if declared else ""
    if name and not name.startswith((*_KOREAN, "utf")):
        try:
            return _unless_binary(content.decode(name))
        except (LookupError, ValueError):
            # An unknown name or a false one: the content decides.
            pass
    as_utf8 = content.decode("utf-8", "replace")
    if content.startswith(codecs.BOM_UTF8) or _undecodable(as_utf8) <= _BROKEN_UTF8:
        return _unless_binary(as_utf8)
    as_cp949 = content.decode("cp949", "replace")
    return _unless_binary(as_cp949) if _undecodable(as_cp949) <= _BROKEN_CP949 else None


def _decode_utf16(content: bytes) -> str | None:
    """UTF-16 without a mark: every ASCII character has a zero beside it, on the same side."""
    head = content[:1000]
    zeros_even, zeros_odd = head[::2].count(0), head[1::2].count(0)
    if min(zeros_even, zeros_odd) * 20 > max(zeros_even, zeros_odd):
        return None
    text = content.decode("utf-16-le" if zeros_odd > zeros_even else "utf-16-be", "replace")
    return _unless_binary(text) if text.count("\ufffd") <= _BROKEN_CP949 * len(text) else None


def _undecodable(text: str) -> float:
    """The share of characters that could not be decoded among those beyond ASCII."""
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") / beyond if beyond else 0.0


def _unless_binary(text: str) -> str | None:
    controls = sum(1 for _ in _CONTROL.finditer(text))
    return text.removeprefix("\ufeff") if controls <= max(2, _FEW_CONTROLS * len(text)) else None
