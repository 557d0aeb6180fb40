"""One page: from pixels to blocks in reading order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ingest.documents import Block
from ingest.parsers.local.arrange import arranged
from ingest.parsers.local.decode import Pixels
from ingest.parsers.local.geometry import Box
from ingest.parsers.local.grid import find_grids
from ingest.parsers.local.heads import is_head
from ingest.parsers.local.ink import Ink, find_ink
from ingest.parsers.local.picture import Bullet, first_mark
from ingest.parsers.local.reader import LineReader
from ingest.parsers.local.rules import find_rules
from ingest.parsers.local.tables import is_table, ruled_table, split_at_labels
from ingest.parsers.local.text import Colour, Line

_IN_CELLS, _ON_PAGE = 3.0, 1.3
"""Line heights of a gap that ends a line: in a cell there is one column only."""
_INSET = 3
"""Pixels between a cell's border and where its text may begin."""
_ABOVE, _BESIDE = 2, 3
"""Pixels of a crop around a line: faint edges of letters."""
_OFTEN = 3
"""Lines that begin with the same mark from which it is a bullet."""
_FLAT = 0.4
"""Heights of usual text: a line below that is none."""


@dataclass
class Page:
    """What was read of a page, or of a slice of it."""

    blocks: list[Block] = field(default_factory=list)
    unread: int = 0
    """Boxes with ink in which no model found a letter."""


class PageReader:
    """Reads pages; for one thread."""

    def __init__(self, reader: LineReader) -> None:
        self._reader = reader

    def read(self, pixels: Pixels) -> Page:
        """Reads a page, or a slice of one."""
        page = Page()
        rules = find_rules(pixels)
        ink = find_ink(pixels, rules)
        whole = Box(0, 0, pixels.shape[1], pixels.shape[0])
        bullets = _bullets(pixels, ink, whole)
        tables = []
        free = ink.mask.copy()
        for found in find_grids(rules):
            if not is_table(found, ink.mask):
                continue
            places = [place.box.inside(_INSET) for place in found.places]
            cells = [self._lines(pixels, ink, box, page, apart=_IN_CELLS, bullets=bullets) for box in places]
            if all(is_head(line.text) for own in cells for line in own) or any(map(_are_labels, cells)):
                continue  # coloured heads or labels, whose table has no other frame
            grid, cells = split_at_labels(found, cells)
            placed = ruled_table(grid, cells)
            if placed is None:
                continue
            tables.append(placed)
            box = grid.box
            free[max(0, box.top - 2) : box.bottom + 2, max(0, box.left - 2) : box.right + 2] = 0
        rest = Ink(free, ink.rules, ink.drawn, ink.marks, ink.usual)
        lines = self._lines(pixels, rest, whole, page, apart=_ON_PAGE, bullets=bullets)
        page.blocks = arranged(lines, tables, rules)
        return page

    def _lines(
        self, pixels: Pixels, ink: Ink, box: Box, page: Page, *, apart: float, bullets: Sequence[Bullet]
    ) -> list[Line]:
        found = []
        for line in ink.lines(box, apart=apart):
            if line.height < _FLAT * ink.usual and line.width > 3 * line.height:
                continue  # what is left of a rule
            window = _around(line)
            crop = pixels[window]
            reading = self._reader.read(crop, ink.drawn[window], bullets)
            if reading is None:
                continue
            if not any(letter.isalnum() for letter in reading.text):
                # Arrows and ornaments are no text; what is as tall and as long as text should be.
                page.unread += line.height >= 0.6 * ink.usual and line.width >= 2 * line.height
                continue
            ink_colour, ground = _colours(crop)
            found.append(Line(line, reading.text, reading.confidence, reading.bulleted, ink_colour, ground))
        return found


def _bullets(pixels: Pixels, ink: Ink, whole: Box) -> list[Bullet]:
    """The marks that several lines of a page begin with: whatever they look like, they are no letters."""
    windows = map(_around, ink.lines(whole, apart=_ON_PAGE))
    marks = [mark for at in windows if (mark := first_mark(pixels[at], ink.drawn[at])) is not None]
    found: list[Bullet] = []
    for mark in marks:
        if not any(map(mark.is_like, found)) and sum(map(mark.is_like, marks)) >= _OFTEN:
            found.append(mark)
    return found


def _around(line: Box) -> tuple[slice, slice]:
    """Rows and columns of a line's crop."""
    return (
        slice(max(0, line.top - _ABOVE), line.bottom + _ABOVE),
        slice(max(0, line.left - _BESIDE), line.right + _BESIDE),
    )


def _are_labels(lines: list[Line]) -> bool:
    """Whether what looks like one cell is labels below each other, without a rule between them."""
    return len(lines) > 1 and all(
        is_head(line.text) and line.box.top - before.box.bottom > 0.8 * line.box.height
        for before, line in itertools.pairwise(lines)
    )


def _colours(crop: Pixels) -> tuple[Colour, Colour]:
    """The colour of the letters and of what they stand on."""
    flat = crop.reshape(-1, 3).astype(int)
    ground = np.median(flat, axis=0).astype(int)
    distance = np.abs(flat - ground).max(axis=1)
    strongest = flat[distance >= np.percentile(distance, 97)]
    ink = np.median(strongest, axis=0).astype(int)
    return _triple(ink), _triple(ground)


def _triple(values: np.typing.NDArray[np.int_]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
