"""The process that opens PDFs: `python -m ingest.parsers.pdf_worker text` or `render 1 4 5`.

A PDF is a program of sorts, and PDFium is written in C: a process of its own can be ended when one takes
too long, is held to its memory, and takes nothing with it when it crashes.

Its input is one message (`tools.core.worker_processes`), the file. Its answers begin with a letter: R, the
result, or E, why the file cannot be read, in words. With `text` the results are the number of pages and the
text of each (PageText), in JSON; with `render` the pages with these numbers, as PNG.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median
from typing import Any, TypedDict

import pypdfium2 as pdfium
import pypdfium2.raw as c

from tools.core.worker_processes import open_answers, read_message, write_message

MEMORY_BYTES = 1_000_000_000
"""Address space of the process, libraries included: the largest page takes half of it."""
CPU_SECONDS = 600
DPI = 200  # at which 10-point Hangul is some 28 pixels tall
MAX_RENDERED_PIXELS = 40_000_000
"""Of one page; a larger one is drawn at fewer dots per inch. All parsers read so many."""

_FEW_CHARACTERS = 100  # below so many, a page that is mostly an image is an image with a footer
_MOSTLY_IMAGE = 0.4
_MOJIBAKE = 0.2  # share of unreadable characters from which a text layer is worthless: a font without codes
_PARAGRAPH_GAP = 0.8  # of a line's height, between two lines
_MOST_OBJECTS = 2000
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
    """A page: its lines, or that it has to be recognised from its image."""

    lines: list[PageLine]
    is_scanned: bool


def main(mode: str, numbers: list[int]) -> None:
    """Reads the file and writes the answers."""
    if sys.platform == "linux":
        # macOS takes no limit of memory.
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = open_answers()
    try:
        for result in _results(mode, numbers):
            write_message(answers, b"R" + result)
    except pdfium.PdfiumError as error:
        write_message(answers, b"E" + _reason(error).encode())
    except MemoryError:
        write_message(answers, b"Eneeds too much memory")


def _results(mode: str, numbers: Iterable[int]) -> Iterator[bytes]:
    document = pdfium.PdfDocument(read_message())
    if mode == "text":
        yield json.dumps(len(document)).encode()
        numbers = range(len(document))
    for number in numbers:
        page = document[number]
        yield json.dumps(_text(page)).encode() if mode == "text" else _rendered(page)
        page.close()


def _reason(error: pdfium.PdfiumError) -> str:
    if error.err_code in (c.FPDF_ERR_PASSWORD, c.FPDF_ERR_SECURITY):
        return "is encrypted; save it without its password"
    return f"is a broken PDF: {error}"


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
    letters = [letter for line in lines for letter in line["text"] if not letter.isspace()]
    if not letters:
        return PageText(lines=[], is_scanned=c.FPDFPage_CountObjects(page) > 0)
    unreadable = sum(map(_is_unreadable, letters))
    is_scanned = unreadable > _MOJIBAKE * len(letters) or (
        len(letters) < _FEW_CHARACTERS and _image_share(page) >= _MOSTLY_IMAGE
    )
    return PageText(lines=[] if is_scanned else lines, is_scanned=is_scanned)


def _is_unreadable(letter: str) -> bool:
    return letter == "\ufffd" or letter < " " or "\ue000" <= letter <= "\uf8ff"


def _image_share(page: Any) -> float:
    """The share of the page that images cover, overlaps counted twice."""
    width, height = page.get_size()
    covered = 0.0
    for image in islice(page.get_objects(filter=[c.FPDF_PAGEOBJ_IMAGE], max_depth=3), _MOST_OBJECTS):
        left, bottom, right, top = image.get_bounds()
        covered += (right - left) * (top - bottom)
    return float(covered / max(width * height, 1))


def _lines(textpage: Any) -> Iterator[PageLine]:
    """Yields the lines in the order in which the page writes them, which is mostly that of reading."""
    before: tuple[float, float] | None = None
    for characters in _characters(textpage):
        visible = [index for index, letter in characters if letter > " "]
        if not visible:
            continue
        boxes = [textpage.get_charbox(index, loose=True) for index in visible]
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
            bold=all(c.FPDFText_GetFontWeight(textpage, index) >= _BOLD_WEIGHT for index in visible),
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
