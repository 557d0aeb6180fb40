"""The process that opens PDFs: `python -m ingest.parsers.pdf_worker text` or `render 1 4 5`, the file on
its standard input.

A PDF is a program of sorts, and PDFium is written in C: a process of its own can be ended when one takes
too long, is held to its memory, and takes nothing with it when it crashes. It imports little, to start
quickly. What it finds goes to standard output in frames: a letter, eight bytes of length, the content.

    N  JSON: the number of pages          T  JSON: the text of a page (PageText), page after page
    P  a page as PNG, in the order asked  E  why the file cannot be read, in words
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any, BinaryIO, TypedDict

import pypdfium2 as pdfium
import pypdfium2.raw as c

HEADER = struct.Struct(">cQ")
MEMORY_BYTES = 1_000_000_000
"""Address space of the process, libraries included: the largest page takes half of it."""
CPU_SECONDS = 600
DPI = 200
"""At which 10-point Hangul is some 28 pixels tall."""
MAX_RENDERED_PIXELS = 40_000_000
"""Of one page; a larger one is drawn at fewer dots per inch. All parsers read so many."""

_FEW_CHARACTERS = 100
"""Below so many, a page that is mostly a picture is a picture with a footer."""
_MOSTLY_PICTURE = 0.4
_MOJIBAKE = 0.2
"""Share of unreadable characters from which a text layer is worthless: a font without its code table."""
_PARAGRAPH_GAP = 0.8
"""Of a line's height, between two lines."""
_OBJECTS_LOOKED_AT = 2000
_BOLD_WEIGHT = 600


class PageLine(TypedDict):
    """A line of a page's text. `gap`: it does not follow closely upon the one before."""

    text: str
    height: float
    left: float
    right: float
    bold: bool
    gap: bool


class PageText(TypedDict):
    """A page: its lines, or that it has to be looked at."""

    lines: list[PageLine]
    look: bool


def main(mode: str, numbers: list[int]) -> None:
    """Reads the file and writes its frames."""
    if sys.platform == "linux":
        # macOS takes no limit of memory.
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    out = sys.stdout.buffer
    try:
        document = pdfium.PdfDocument(sys.stdin.buffer.read())
        _send(out, b"N", json.dumps(len(document)).encode())
        if mode == "text":
            for page in _pages(document, range(len(document))):
                _send(out, b"T", json.dumps(_text(page)).encode())
        else:
            for page in _pages(document, numbers):
                _send(out, b"P", _rendered(page))
    except pdfium.PdfiumError as error:
        _send(out, b"E", _reason(error).encode())
    except MemoryError:
        _send(out, b"E", b"needs too much memory")


def _send(out: BinaryIO, kind: bytes, content: bytes) -> None:
    out.write(HEADER.pack(kind, len(content)) + content)
    out.flush()


def _reason(error: pdfium.PdfiumError) -> str:
    if error.err_code in (c.FPDF_ERR_PASSWORD, c.FPDF_ERR_SECURITY):
        return "is encrypted; save it without its password"
    return f"is a broken PDF: {error}"


def _pages(document: Any, numbers: Any) -> Iterator[Any]:
    for number in numbers:
        page = document[number]
        yield page
        page.close()


def _rendered(page: Any) -> bytes:
    width, height = page.get_size()
    scale = min(DPI / 72, (MAX_RENDERED_PIXELS / max(width * height, 1)) ** 0.5)
    image = page.render(scale=scale).to_pil()
    png = io.BytesIO()
    # Little compression: the file goes to a parser beside this process, or to one that is paid by page.
    image.convert("RGB").save(png, "PNG", compress_level=1)
    return png.getvalue()


def _text(page: Any) -> PageText:
    textpage = page.get_textpage()
    lines = list(_lines(textpage))
    textpage.close()
    text = "".join(line["text"] for line in lines)
    letters = [letter for letter in text if not letter.isspace()]
    strange = sum(_is_strange(letter) for letter in letters)
    if not letters:
        return PageText(lines=[], look=c.FPDFPage_CountObjects(page) > 0)
    look = strange > _MOJIBAKE * len(letters) or (
        len(letters) < _FEW_CHARACTERS and _picture_share(page) >= _MOSTLY_PICTURE
    )
    return PageText(lines=[] if look else lines, look=look)


def _is_strange(letter: str) -> bool:
    return letter == "\ufffd" or letter < " " or "\ue000" <= letter <= "\uf8ff"


def _picture_share(page: Any) -> float:
    """The share of the page that pictures cover, overlaps counted twice."""
    width, height = page.get_size()
    covered = 0.0
    for found in islice(page.get_objects(filter=[c.FPDF_PAGEOBJ_IMAGE], max_depth=3), _OBJECTS_LOOKED_AT):
        left, bottom, right, top = found.get_bounds()
        covered += (right - left) * (top - bottom)
    return float(covered / max(width * height, 1))


def _lines(textpage: Any) -> Iterator[PageLine]:
    """Yields the lines in the order in which the page writes them, which is mostly that of reading."""
    before: tuple[float, float] | None = None
    for characters in _characters(textpage):
        boxes = [textpage.get_charbox(index, loose=True) for index, letter in characters if letter > " "]
        if not boxes:
            continue
        bottom, top = median(box[1] for box in boxes), median(box[3] for box in boxes)
        height = max(top - bottom, 0.1)
        space = before[0] - top if before else 0.0
        # Upwards, too: another column begins.
        gap = before is not None and (space > _PARAGRAPH_GAP * min(height, before[1]) or space < -2 * height)
        before = (bottom, height)
        yield PageLine(
            text="".join(letter for _, letter in characters),
            height=round(height, 1),
            left=round(min(box[0] for box in boxes), 1),
            right=round(max(box[2] for box in boxes), 1),
            bold=all(
                c.FPDFText_GetFontWeight(textpage, index) >= _BOLD_WEIGHT
                for index, letter in characters
                if letter > " "
            ),
            gap=gap,
        )


def _characters(textpage: Any) -> Iterator[list[tuple[int, str]]]:
    """Yields the characters of each line with their places in the page's text."""
    line: list[tuple[int, str]] = []
    for index in range(textpage.count_chars()):
        code = c.FPDFText_GetUnicode(textpage, index)
        if code in (10, 13):
            if line:
                yield line
            line = []
        elif code not in (0, 2, 0xFFFE) and not 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - no characters
            line.append((index, chr(code)))
    if line:
        yield line


if __name__ == "__main__":
    main(sys.argv[1], [int(number) for number in sys.argv[2:]])
