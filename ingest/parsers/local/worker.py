"""The process that reads images: `python -m ingest.parsers.local.worker TESSDATA`.

It says once that it is ready, and then answers each message, an image, with JSON: the blocks of all its
slices in reading order.
"""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import orjson
from PIL import Image, ImageOps, UnidentifiedImageError

from ingest.documents import Block
from ingest.errors import DocumentUnreadableError
from ingest.parsers.images import BROKEN_IMAGE, to_rgb
from ingest.parsers.local.layout import Box, Colour, Line, is_column_name
from ingest.parsers.local.line_image import Bullet, leading_mark
from ingest.parsers.local.page_blocks import arrange_blocks
from ingest.parsers.local.recognition import Engines, LineReader
from ingest.parsers.local.ruled_tables import build_ruled_table, find_grids, is_table, split_at_labels
from ingest.parsers.local.segmentation import Ink, Pixels, find_ink, find_rules
from tools.core.worker_processes import open_answers, read_message, write_message

FORMATS = ("WEBP", "PNG", "JPEG", "GIF", "BMP", "TIFF")
MAX_PIXELS = 60_000_000
"""Largest image that is read: a poster 1,000 pixels wide may be 60,000 tall. 180 MB when decoded."""
_WIDEST, _READING_WIDTH = 2400, 1700  # pixels; a wider image is a photograph or a scan at 300 dpi
_SLICE = 4000  # pixels after which a tall image is cut at the next row without a mark on it
_BLANK = 12  # grey levels by which the pixels of such a row differ at most

_GAP_IN_CELL, _GAP_ON_PAGE = 3.0, 1.3  # line heights of a gap that ends a line: in a cell is one column only
_INSET = 3  # pixels between a cell's border and where its text may begin
_ABOVE, _BESIDE = 2, 3  # pixels of a crop around a line: faint edges of letters
_OFTEN = 3  # lines that begin with the same mark, from which it is a bullet
_LOWEST_LINE, _LOWEST_UNREAD = 0.4, 0.6  # heights of usual text
_APART = 0.8  # heights of labels below each other


def main() -> None:
    """Answers until standard input ends."""
    answers = open_answers()
    cv2.setNumThreads(1)
    reader = LineReader(Engines(Path(sys.argv[1])))
    write_message(answers, b"ready")
    while (image := read_message()) is not None:
        write_message(answers, orjson.dumps(_read_image(reader, image)))


def _read_image(reader: LineReader, content: bytes) -> dict[str, Any]:
    try:
        pixels = decode(content)
    except DocumentUnreadableError as error:
        return {"error": error.message}
    blocks: list[dict[str, Any]] = []
    unread = 0
    for part in slices(pixels):
        page = _Page(reader, part)
        blocks += [block.model_dump() for block in page.read()]
        unread += page.unread
    return {"blocks": blocks, "unread": unread}


def decode(content: bytes) -> Pixels:
    """Returns the first frame, upright, on white where it is transparent.

    Raises:
        DocumentUnreadableError: the bytes are no image that can be read, or one with too many pixels.
    """
    # The limit below is stricter than Pillow's own, and is checked before a pixel is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DocumentUnreadableError(
                    f"The image has {width:,} × {height:,} pixels, {width * height / 1e6:,.0f} million; "
                    f"at most {MAX_PIXELS / 1e6:,.0f} million are read. Make it smaller or cut it up."
                )
            image.seek(0)
            image.load()
            pixels = np.asarray(to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise DocumentUnreadableError(
            "The file is not an image that can be read: PNG, JPEG, WebP, GIF, BMP and TIFF are."
        ) from error
    except BROKEN_IMAGE as error:
        raise DocumentUnreadableError(f"The image is broken: {error}") from error
    height, width = pixels.shape[:2]
    if width <= _WIDEST:
        return pixels
    size = (_READING_WIDTH, max(1, round(height * _READING_WIDTH / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def slices(pixels: Pixels) -> Iterator[Pixels]:
    """Cuts a tall image into slices that need little memory, and leaves out the empty ones.

    Cuts only where a row has one colour from edge to edge, so never through a line of text or a
    table; where there is no such row, the slice is as tall as it has to be.
    """
    marked = _marked_rows(pixels)
    empty = np.flatnonzero(~marked)
    height = len(marked)
    top = 0
    while top < height:
        bottom = height
        if height - top > _SLICE * 3 // 2:
            below = empty[np.searchsorted(empty, top + _SLICE) :]
            bottom = int(below[0]) if below.size else height
        if marked[top:bottom].any():
            yield pixels[top:bottom]
        top = bottom


def _marked_rows(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Whether each row has more than one colour."""
    marked = np.zeros(pixels.shape[0], dtype=np.bool_)
    for start in range(0, len(marked), _SLICE):
        rows = pixels[start : start + _SLICE].astype(np.int16)
        marked[start : start + _SLICE] = (rows.max(axis=1) - rows.min(axis=1)).max(axis=1) > _BLANK
    return marked


class _Page:
    """Reads one page, or a slice of one. `unread` counts boxes with ink in which no model found a letter."""

    def __init__(self, reader: LineReader, pixels: Pixels) -> None:
        self._reader = reader
        self._pixels = pixels
        self._rules = find_rules(pixels)
        self._ink = find_ink(pixels, self._rules)
        self._bullets = self._repeated_marks()
        self.unread = 0

    def read(self) -> list[Block]:
        """Returns its blocks in reading order."""
        tables = []
        outside = self._ink.mask.copy()
        for grid in find_grids(self._rules):
            if not is_table(grid, self._ink.mask):
                continue
            boxes = (cell.box.shrunk(_INSET) for cell in grid.cells)
            texts = [self._lines(self._ink, box, _GAP_IN_CELL) for box in boxes]
            if all(is_column_name(line.text) for own in texts for line in own):
                continue  # coloured column names, whose table has no other frame
            if any(map(_are_labels, texts)):
                continue
            table = build_ruled_table(*split_at_labels(grid, texts))
            if table is not None:
                tables.append(table)
                box = table.box
                outside[max(0, box.top - 2) : box.bottom + 2, max(0, box.left - 2) : box.right + 2] = 0
        lines = self._lines(replace(self._ink, mask=outside), self._whole, _GAP_ON_PAGE)
        return arrange_blocks(lines, tables, self._rules)

    @property
    def _whole(self) -> Box:
        height, width = self._pixels.shape[:2]
        return Box(0, 0, width, height)

    def _lines(self, ink: Ink, box: Box, gap: float) -> list[Line]:
        lines = []
        for line in ink.lines(box, apart=gap):
            if line.height < _LOWEST_LINE * ink.text_height and line.width > 3 * line.height:
                continue  # what is left of a rule
            window = _window(line)
            crop = self._pixels[window]
            recognised = self._reader.read(crop, ink.drawn[window], self._bullets)
            if recognised is None:
                continue
            if not any(letter.isalnum() for letter in recognised.text):
                # Arrows and ornaments are no text; what is as tall and as long as text should be.
                is_text = line.height >= _LOWEST_UNREAD * ink.text_height and line.width >= 2 * line.height
                self.unread += is_text
                continue
            lines.append(
                Line(line, recognised.text, recognised.confidence, recognised.bulleted, *_colours(crop))
            )
        return lines

    def _repeated_marks(self) -> list[Bullet]:
        """The marks that several lines begin with: whatever they look like, they are no letters."""
        windows = map(_window, self._ink.lines(self._whole, apart=_GAP_ON_PAGE))
        marks = [
            mark
            for window in windows
            if (mark := leading_mark(self._pixels[window], self._ink.drawn[window])) is not None
        ]
        bullets: list[Bullet] = []
        for mark in marks:
            if not any(map(mark.is_like, bullets)) and sum(map(mark.is_like, marks)) >= _OFTEN:
                bullets.append(mark)
        return bullets


def _window(line: Box) -> tuple[slice, slice]:
    return (
        slice(max(0, line.top - _ABOVE), line.bottom + _ABOVE),
        slice(max(0, line.left - _BESIDE), line.right + _BESIDE),
    )


def _are_labels(lines: list[Line]) -> bool:
    """Whether what looks like one cell is labels below each other, without a rule between them."""
    return len(lines) > 1 and all(
        is_column_name(line.text) and line.box.top - before.box.bottom > _APART * line.box.height
        for before, line in itertools.pairwise(lines)
    )


def _colours(crop: Pixels) -> tuple[Colour, Colour]:
    """The colour of the letters and of the ground they stand on."""
    flat = crop.reshape(-1, 3).astype(int)
    ground = np.median(flat, axis=0).astype(int)
    distance = np.abs(flat - ground).max(axis=1)
    ink = np.median(flat[distance >= np.percentile(distance, 97)], axis=0).astype(int)
    return (int(ink[0]), int(ink[1]), int(ink[2])), (int(ground[0]), int(ground[1]), int(ground[2]))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        # The process that started this one has gone: there is nobody left to answer.
        os._exit(1)
