"""Rules: the lines that a designer draws between cells, and the edges of coloured areas.

Both become two masks, one of horizontal and one of vertical rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ingest.parsers.local.decode import Pixels
from ingest.parsers.local.marks import Mask, closed, grown, longer_than, marks_of, strongest

_THICKEST = 4
"""Pixels: what is thicker is an area, with edges."""
_FAINT, _FAINT_EDGE = 14, 10
"""Grey levels that a drawn rule, and an edge, differs from what is beside it."""
_ACROSS, _DOWN = 41, 23
"""Pixels: the shortest rule that is no part of a letter."""
_EDGE_ACROSS, _EDGE_DOWN, _PALE_DOWN = 61, 25, 25
_PALE, _STRONG = 5, 30
"""Grey levels of the palest edge of an area, and of what may be a letter."""
_SMOOTH, _BLURRED = 9, 2
"""Pixels along an edge that are averaged, and over which compression blurs it."""
_DASHED_ACROSS, _DASHED_DOWN = 161, 36
_BESIDE, _CROWDED = 7, 0.12
"""Pixels above and below a dashed rule in which there are few strokes, and what share is too many."""
_PIECE = 31
"""Pixels: the shortest piece of a dashed rule in line with a long one."""
_GAP = 7
"""Pixels: the widest gap in a dashed rule."""
_REACH = 4
"""Pixels from the end of a vertical rule to the horizontal one it meets."""
_FREE, _FREE_THIN = 110, 44
"""Pixels: an edge, and a thin stroke, so long is no part of a letter even where it meets no other."""
_NEAR, _BESIDE_STEM = 0.17, 0.2
"""Beside a stem, so near in terms of its height, stands the rest of its letter on so many of its rows."""
_MOSTLY = 0.8


@dataclass(frozen=True)
class Rules:
    """Masks of the rules of a page."""

    horizontal: Mask
    vertical: Mask

    @property
    def both(self) -> Mask:
        """The two as one."""
        return np.asarray(cv2.bitwise_or(self.horizontal, self.vertical), dtype=np.uint8)


def find_rules(pixels: Pixels) -> Rules:
    """Finds solid and dashed rules and the straight edges of coloured areas."""
    across = _strokes(pixels, (1, _THICKEST + 1))
    down = _strokes(pixels, (_THICKEST + 1, 1))
    horizontal = longer_than(across, _ACROSS, 1) | longer_than(_steps(pixels, 0, 1), _EDGE_ACROSS, 1)
    vertical = longer_than(down, 1, _DOWN) | longer_than(_steps(pixels, 1, 1), 1, _EDGE_DOWN)
    horizontal |= longer_than(_pale_steps(pixels, 0), _EDGE_ACROSS, 1)
    vertical |= longer_than(_pale_steps(pixels, 1), 1, _PALE_DOWN)
    strokes = across | down
    horizontal |= _dashed(across, strokes, _DASHED_ACROSS)
    # Turned by a quarter, verticals are horizontals.
    turned = np.ascontiguousarray(down.T), np.ascontiguousarray(strokes.T)
    vertical |= _dashed(*turned, _DASHED_DOWN).T
    vertical = _without_stems(horizontal, vertical, down, _letters(pixels))
    return Rules(_without_bars(horizontal, vertical), vertical)


def _strokes(pixels: Pixels, size: tuple[int, int]) -> Mask:
    """Where something thin lies on an even ground, darker or lighter than it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, size)
    dark = cv2.morphologyEx(pixels, cv2.MORPH_BLACKHAT, kernel)
    light = cv2.morphologyEx(pixels, cv2.MORPH_TOPHAT, kernel)
    return _over(strongest(np.maximum(dark, light)), _FAINT)


def _steps(pixels: Pixels, axis: int, reach: int, limit: int = _FAINT_EDGE) -> Mask:
    """Where the colour changes over a few rows (or columns), `reach` to each side."""
    before, after = np.roll(pixels, reach, axis=axis), np.roll(pixels, -reach, axis=axis)
    edge = _over(strongest(cv2.absdiff(before, after)), limit)
    if axis == 0:
        edge[:reach], edge[-reach:] = 0, 0
    else:
        edge[:, :reach], edge[:, -reach:] = 0, 0
    return edge


def _pale_steps(pixels: Pixels, axis: int) -> Mask:
    """Edges so pale that compression breaks them: looked for away from letters, smoothed along the edge."""
    size = (_SMOOTH, 1) if axis == 0 else (1, _SMOOTH)
    smooth = np.asarray(cv2.blur(pixels, size), dtype=np.uint8)
    edge = _steps(smooth, axis, _BLURRED, _PALE)
    edge[grown(_letters(pixels), _SMOOTH) > 0] = 0
    return edge


def _letters(pixels: Pixels) -> Mask:
    """Where something stands out that may be a letter."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    return _over(strongest(cv2.morphologyEx(pixels, cv2.MORPH_GRADIENT, kernel)), _STRONG)


def _over(values: npt.NDArray[np.integer], limit: int) -> Mask:
    return np.asarray((values > limit) * np.uint8(255), dtype=np.uint8)


def _dashed(along: Mask, strokes: Mask, length: int) -> Mask:
    """Closes the gaps of horizontal dashed rules, and keeps what is then long and thin."""
    whole = closed(along, _GAP, 1)
    # A line of text closes to a block; a rule stays thin.
    thick = longer_than(whole, 1, _THICKEST + 1) > 0
    long = longer_than(whole, length, 1)
    long[thick] = 0
    # In line with such a rule, shorter pieces are parts of it, too.
    pieces = longer_than(whole, _PIECE, 1)
    pieces[thick] = 0
    pieces[~long.any(axis=1), :] = 0
    # Letters have strokes above and below their own; a rule stands alone.
    marks = marks_of(np.asarray(cv2.bitwise_or(long, pieces), dtype=np.uint8))
    keep = np.zeros(len(marks.stats), dtype=np.bool_)
    for number in marks.numbers:
        left, top, wide, tall = (int(value) for value in marks.stats[number][:4])
        columns = slice(left, left + wide)
        above = strokes[max(0, top - _BESIDE) : max(0, top - 2), columns]
        below = strokes[top + tall + 2 : top + tall + _BESIDE, columns]
        keep[number] = all(not side.size or float((side > 0).mean()) < _CROWDED for side in (above, below))
    return marks.chosen(keep)


def _without_stems(horizontal: Mask, vertical: Mask, strokes: Mask, letters: Mask) -> Mask:
    """Drops verticals that meet no horizontal at one of their ends, and have the rest of a letter beside
    them: stems of large letters."""
    marks = marks_of(vertical)
    keep = np.zeros(len(marks.stats), dtype=np.bool_)
    for number in marks.numbers:
        left, top, wide, tall = (int(value) for value in marks.stats[number][:4])
        sides = slice(max(0, left - _REACH), left + wide + _REACH)
        ends = (
            horizontal[max(0, top - _REACH) : top + _REACH + 1, sides],
            horizontal[max(0, top + tall - _REACH - 1) : top + tall + _REACH, sides],
        )
        own = marks.labels[top : top + tall, left : left + wide] == number
        drawn = float(((strokes[top : top + tall, left : left + wide] > 0) & own).any(axis=1).mean())
        # A stem as tall and as thin as that belongs to a large letter or to none; the edge of one may.
        thin = tall >= _FREE_THIN and drawn > _MOSTLY
        near = round(_NEAR * tall)
        beside = (
            letters[top : top + tall, max(0, left - near) : max(0, left - _REACH + 1)],
            letters[top : top + tall, left + wide + _REACH - 1 : left + wide + near],
        )
        alone = all(not side.size or float((side > 0).any(axis=1).mean()) < _BESIDE_STEM for side in beside)
        keep[number] = tall >= _FREE or (thin and alone) or all(end.any() for end in ends)
    return marks.chosen(keep)


def _without_bars(horizontal: Mask, vertical: Mask) -> Mask:
    """Drops short horizontals that meet no vertical: bars of letters, in a row by chance."""
    marks = marks_of(horizontal)
    keep = np.zeros(len(marks.stats), dtype=np.bool_)
    for number in marks.numbers:
        left, top, wide, tall = (int(value) for value in marks.stats[number][:4])
        rows = slice(max(0, top - _REACH), top + tall + _REACH)
        columns = slice(max(0, left - _REACH), left + wide + _REACH)
        keep[number] = wide >= _FREE or vertical[rows, columns].any()
    return marks.chosen(keep)
