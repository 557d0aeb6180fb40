"""The picture of one line as the models like it: dark on light, one height, no bullet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ingest.parsers.local.decode import Pixels
from ingest.parsers.local.marks import Mask
from ingest.parsers.local.ocr import Grey

HEIGHT = 40
"""Pixels of ink from top to bottom; 36 to 48 read best."""
PAD = 14
"""Pixels of white on every side."""
_FAINTEST = 30
"""Grey levels: a region whose ink differs less from its ground holds no text."""
_INK = 0.4
"""Share of the strongest difference from the ground that counts as ink."""
_LARGEST = 5.0
"""Times: small type is not blown up beyond it."""
_WIDEST = 12_000
"""Pixels of a line's picture; the models stop at 32,767, and no line of text is that long."""

_SOLID = 0.9
"""Share of a bar's rows that are filled from side to side."""
_MIRRORED = 0.97
"""Share of a mark's ink that its mirror image covers, give or take a pixel."""
_ROOM = 0.28
"""Heights of the space behind a bullet."""
_SQUARE = (0.7, 1.5)
"""Widths of a bullet in terms of its height."""
_TRIANGLE = 0.5
"""Share of its box that a filled triangle covers."""
_WIDEST_BULLET, _SPACE = 1.1, 0.2
"""Heights of a line: the widest mark that may be a bullet, and the least space behind one."""
_SHAPE, _SAME = 12, 0.12
"""Sides of the picture that marks are compared by, and how much two of one shape differ at most."""


@dataclass(frozen=True)
class Bullet:
    """A mark that a line begins with: its shape, its size in pixels, and where the text behind it begins."""

    shape: npt.NDArray[np.float32]
    width: int
    height: int
    text: int

    def is_like(self, other: Bullet) -> bool:
        """Whether it is the same mark, but for what compression does to it."""
        return (
            abs(self.width - other.width) <= 1
            and abs(self.height - other.height) <= 1
            and float(np.abs(self.shape - other.shape).mean()) <= _SAME
        )


@dataclass(frozen=True)
class Picture:
    """A line: `grey` has it dark on white, `gaps` are the columns without ink inside it."""

    grey: Grey
    gaps: list[tuple[int, int]]
    """Left edge and right edge of each, in the picture's columns, from left to right."""
    bulleted: bool

    def cut(self, left: int, right: int) -> Grey:
        """A part of the line with white at its sides."""
        pad = np.full((self.grey.shape[0], PAD), 255, dtype=np.uint8)
        return np.ascontiguousarray(np.hstack((pad, self.grey[:, max(0, left) : right], pad)))


def line_picture(crop: Pixels, drawn: Mask, bullets: Sequence[Bullet] = ()) -> Picture | None:
    """Makes the picture of the line in `crop`, without the rules and frames that `drawn` marks there, and
    without what it begins with: a bar, a mark of the shape of bullets, or one of the page's `bullets`.

    None when there is no ink to speak of.
    """
    found = _inked(crop, drawn)
    if found is None:
        return None
    difference, ink, (left, top, right, bottom) = found
    strongest = float(np.percentile(difference, 99.5))
    bar = _bar(ink)
    bullet = bar or _bullet(ink) or _one_of(bullets, ink)
    if bullet:
        left += bullet
        ink = ink[:, bullet:]
        rows = np.flatnonzero(ink.any(axis=1))
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    # A pixel more all around: the faint edges of letters are part of them.
    part = difference[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
    scale = min(_LARGEST, HEIGHT / (bottom - top), _WIDEST / part.shape[1])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    grown = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    dark = 255 - np.clip(grown * (255.0 / strongest), 0, 255).astype(np.uint8)
    grey = np.pad(dark, PAD, constant_values=255)
    return Picture(np.asarray(grey, dtype=np.uint8), _gaps(grey), bool(bullet and not bar))


def first_mark(crop: Pixels, drawn: Mask) -> Bullet | None:
    """What the line in `crop` begins with, where that may be a bullet: one mark, apart from what follows."""
    found = _inked(crop, drawn)
    return None if found is None else _first(found[1])


def _inked(crop: Pixels, drawn: Mask) -> tuple[Grey, npt.NDArray[np.bool_], tuple[int, int, int, int]] | None:
    """How much each pixel differs from the ground, which of them are ink, cut to what is, and where that
    lies: left, top, right, bottom."""
    ground = np.median(crop.reshape(-1, 3), axis=0).astype(np.uint8)
    difference = cv2.absdiff(crop, np.broadcast_to(ground, crop.shape).copy()).max(axis=2)
    difference[drawn > 0] = 0
    strongest = float(np.percentile(difference, 99.5))
    if strongest < _FAINTEST:
        return None
    ink = difference > _INK * strongest
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not rows.size:
        return None
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return difference, ink[top:bottom, left:right], (left, top, right, bottom)


def _gaps(grey: Grey) -> list[tuple[int, int]]:
    inked = np.flatnonzero((grey < 255 * (1 - _INK)).any(axis=0))
    breaks = np.flatnonzero(np.diff(inked) > 1)
    return [(int(inked[at]) + 1, int(inked[at + 1])) for at in breaks]


def _bar(ink: npt.NDArray[np.bool_]) -> int:
    """Where the text behind an upright bar begins, as some put in front of headings; 0 without one."""
    height = ink.shape[0]
    empty = np.flatnonzero(~ink.any(axis=0))
    if not empty.size or empty[0] > 0.35 * height or not ink[:, : empty[0]].all(axis=1).mean() > _SOLID:
        return 0
    rest = np.flatnonzero(ink[:, empty[0] :].any(axis=0))
    if not rest.size or rest[0] < 0.2 * height:
        return 0
    start = int(empty[0] + rest[0])
    letters = np.flatnonzero(ink[:, start:].any(axis=1))
    # The bar is taller than what it stands before: a capital I or 1 is not.
    return start if letters[-1] - letters[0] + 1 < 0.95 * height else 0


def _bullet(ink: npt.NDArray[np.bool_]) -> int:
    """Where the text behind a bullet begins; 0 when the line begins with no bullet.

    A bullet is a short or filled mark that stands apart: a dash, a dot, a filled triangle or square.
    """
    height = ink.shape[0]
    columns = np.asarray(ink.any(axis=0), dtype=np.bool_)
    empty = np.flatnonzero(~columns)
    if not empty.size:
        return 0
    end = int(empty[0])
    rest = np.flatnonzero(columns[end:])
    if not rest.size or end > 1.1 * height:
        return 0
    start = end + int(rest[0])
    mark = ink[:, :end]
    rows = np.flatnonzero(mark.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    tall = bottom - top
    if start - end < max(2, 0.12 * height):
        return 0
    solid = float(mark[top:bottom].mean())
    low_mark = tall <= 0.45 * height and top > 0.2 * height and bottom < 0.85 * height
    filled = (
        tall <= 0.9 * height and end >= 0.35 * height and solid > _TRIANGLE and _is_even(mark[top:bottom])
    )
    # 이 and 응 begin with a ring, too, but with no room behind it.
    far = start - end >= _ROOM * height
    even = far and 0.3 * height <= end and tall <= 0.95 * height and _is_symmetric(mark[top:bottom])
    return start if low_mark or filled or even else 0


def _first(ink: npt.NDArray[np.bool_]) -> Bullet | None:
    height = ink.shape[0]
    columns = np.asarray(ink.any(axis=0), dtype=np.bool_)
    empty = np.flatnonzero(~columns)
    if not empty.size or empty[0] > _WIDEST_BULLET * height:
        return None
    end = int(empty[0])
    rest = np.flatnonzero(columns[end:])
    if not rest.size or rest[0] < _SPACE * height:
        return None
    rows = np.flatnonzero(ink[:, :end].any(axis=1))
    mark = ink[rows[0] : rows[-1] + 1, :end].astype(np.uint8)
    if cv2.connectedComponents(mark, connectivity=8)[0] != 2:  # noqa: PLR2004 - the ground and one mark
        return None
    shape = cv2.resize(mark.astype(np.float32), (_SHAPE, _SHAPE), interpolation=cv2.INTER_AREA)
    return Bullet(np.asarray(shape, dtype=np.float32), mark.shape[1], mark.shape[0], end + int(rest[0]))


def _one_of(bullets: Sequence[Bullet], ink: npt.NDArray[np.bool_]) -> int:
    """Where the text behind one of the bullets begins; 0 when the line begins with none of them."""
    mark = _first(ink) if bullets else None
    return mark.text if mark is not None and any(mark.is_like(bullet) for bullet in bullets) else 0


def _is_symmetric(mark: npt.NDArray[np.bool_]) -> bool:
    """Whether the mark is its own mirror image both ways, as ○, ●, ◆ and ※ are and hardly a letter is."""
    marked = np.flatnonzero(mark.any(axis=0))
    mark = mark[:, marked[0] : marked[-1] + 1]
    thick = cv2.dilate(mark.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    return (
        all(float(thick[np.flip(mark, axis)].mean()) >= _MIRRORED for axis in (0, 1))
        and _SQUARE[0] <= mark.shape[1] / mark.shape[0] <= _SQUARE[1]
    )


def _is_even(mark: npt.NDArray[np.bool_]) -> bool:
    """Whether no row of the mark has a hole in it, as rows of letters have."""
    changes = np.diff(mark.astype(np.int8), axis=1)
    return bool(((changes == 1).sum(axis=1) + mark[:, 0] <= 1).all())
