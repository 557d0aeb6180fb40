"""Files of every kind, good and bad, as tests hand them to the parsers; and a page without its images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ingest.documents import Parsed, RawFile
from ingest.parsers.html import parse_page

PAGE = (595, 842)
"""A4 in points."""
SMALL_PAGE = (148, 210)
"""Of scans, which take their time to draw."""


def raw(content: bytes | str, name: str = "posting", media_type: str = "") -> RawFile:
    return RawFile(name, media_type, content.encode() if isinstance(content, str) else content)


def parse_html(text: str) -> Parsed:
    """Parses a page without reading its images; the warning says how many there are."""
    page = parse_page(text, "page")
    return page.with_unread(len(page.images) + page.other_images)


def image(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "white").save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width: int = 20_000, height: int = 10_001) -> bytes:
    """A PNG of 200 million pixels: a header of 100 bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def png_with(*chunks: bytes) -> bytes:
    """A PNG with chunks after its header."""
    content = image()
    return content[:33] + b"".join(chunks) + content[33:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pdf(pages: Sequence[Sequence[str]], *, extra: bytes = b"") -> bytes:
    """A PDF with lines of Latin text on its pages; a line that begins with `#` is set larger, an empty
    one leaves a gap. A page without lines is blank; `extra` goes into the trailer."""
    contents = [_content(lines) for lines in pages]
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>"
            % (*PAGE, 5 + 2 * number)
        )
        objects.append(b"<</Length %d>>stream\n%b\nendstream" % (len(content), content))
    return _written(objects, extra)


def scanned_pdf(pages: int, *, text_on: Sequence[int] = (), size: tuple[int, int] = SMALL_PAGE) -> bytes:
    """A PDF of filled squares, as if it were scanned; the pages of `text_on` (from 0) have text instead."""
    drawing = b"0 0 0 rg 10 10 100 100 re f"
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(pages))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, pages),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number in range(pages):
        content = _content(["Page with text"], SMALL_PAGE) if number in text_on else drawing
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Resources<</Font<</F 3 0 R>>>>/Contents %d 0 R>>"
            % (*size, 5 + 2 * number)
        )
        objects.append(b"<</Length %d>>stream\n%b\nendstream" % (len(content), content))
    return _written(objects, b"")


def pdf_bomb() -> bytes:
    """A PDF of 1.5 MB whose page has 1.5 GB of blanks."""
    packing = zlib.compressobj()
    begin, block = (packing.compress(b" " * 1_000_000) + packing.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    content = begin + block * 1_500 + packing.flush()
    return _written(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>",
            b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(content), content),
        ],
        b"",
    )


def encrypted_pdf() -> bytes:
    """A PDF that asks for a password."""
    handler = b"<</Filter/Standard/V 1/R 2/P -4/O<%b>/U<%b>>>" % (b"41" * 32, b"42" * 32)
    return pdf([["secret"]], extra=b"/Encrypt %b/ID[<%b><%b>]" % (handler, b"43" * 16, b"43" * 16))


def _content(lines: Sequence[str], page: tuple[int, int] = PAGE) -> bytes:
    top, drawn = page[1] - 60, []
    for line in lines:
        size = 20 if line.startswith("#") else 10
        text = (
            line.lstrip("# ").replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1")
        )
        if text:
            drawn.append(b"BT /F %d Tf 50 %d Td (%b) Tj ET" % (size, top, text))
        top -= size + 4
    return b"\n".join(drawn)


def _written(objects: Sequence[bytes], extra: bytes) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj%b endobj\n" % (number, content))
    begins = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, extra, begins))
    return out.getvalue()
