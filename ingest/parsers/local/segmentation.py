"""Segmentation of a page: its rules, and where there are lines of text.

Rules are the lines that a designer draws between cells, and the edges of coloured areas. What else stands out
from its ground is ink: text, and the frames around it, which are told apart here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ingest.parsers.local.layout import Box, cluster

Pixels = npt.NDArray[np.uint8]  # height × width × 3: red, green, blue
Mask = npt.NDArray[np.uint8]  # 0 or 255 for each pixel
Profile = npt.NDArray[np.bool_]  # for each row or column whether there is anything in it

# Rules, in pixels and grey levels --------------------------------------------------------------------
_THICKEST = 4  # what is thicker is an area, with edges
_FAINT, _FAINT_EDGE = 14, 10  # grey levels that a drawn rule, and an edge, differs from what is beside it
_ACROSS, _DOWN = 41, 23  # the shortest rule that is no part of a letter
_EDGE_ACROSS, _EDGE_DOWN, _PALE_DOWN = 61, 25, 25
_PALE, _STRONG = 5, 30  # grey levels of the palest edge of an area, and of what may be a letter
_SMOOTH, _BLURRED = 9, 2  # pixels along an edge that are averaged, and over which compression blurs it
_DASHED_ACROSS, _DASHED_DOWN = 161, 36
_BESIDE, _CROWDED = 7, 0.12  # pixels above and below a dashed rule, and which share of strokes is too much
_PIECE = 31  # the shortest piece of a dashed rule in line with a long one
_GAP = 7  # the widest gap in a dashed rule
_REACH = 4  # from the end of a vertical rule to the horizontal one it meets
_FREE, _FREE_THIN = (
    110,
    44,
)  # an edge, and a thin stroke, so long is no part of a letter even where it meets none
_NEAR, _BESIDE_STEM = 0.17, 0.2
"""Beside a stem, so near in terms of its height, stands the rest of its letter on so many of its rows."""
_MOSTLY = 0.8
_RUNS_THROUGH = 255 * 0.8  # mean of a column of the mask from which a rule runs through a region

# Text and frames -------------------------------------------------------------------------------------
_CONTRAST = 40  # grey levels between ink and ground: what differs less is not read
_LETTER = (5, 80)  # pixels: heights of components that count when the height of text is measured
_ENOUGH_LETTERS, _DEFAULT_HEIGHT = 10, 14  # from which it is measured, and what it is with fewer
_FRAME, _OPEN_FRAME = (20, 12), (40, 22)  # pixels: the smallest frame with four sides, and with three
_OUTLINE = 0.5  # share of its box that an outline covers at most
_SIDE, _ROOM = 0.25, 0.55
"""Shares of each side of its box that a frame covers, for a pill's ends are round, and of the box inside."""
_TALLER, _PILL, _FULL, _STRAIGHT, _LINE = 1.25, 1.5, 0.85, 0.5, 7
"""A pill: its least height by that of text, its least width by its height, the share of its box that it
fills, that of its top and its bottom that is straight, and twice the pixels of its outline."""
_ONE_COLUMN = 2.0  # line heights of a gap inside a line from which there is one column only, and no gutter
_GUTTER, _AROUND, _INDENT, _LINES, _MARK = 0.7, 3.8, 1.6, 3, 1.5
"""A gutter, in heights of letters: its least width, how far above and below it is looked at, how far to
the right, where lines may be indented; how many lines begin there; the least width of what stands before
it, so that it is no bullet."""
_TOUCHING, _LOWEST_LINE, _VALLEY = 1.6, 0.6, 0.3
"""Lines that touch: heights of letters of a box that may hold two, of the lowest line, and how much ink there
is at most where two meet, by that of a full row."""
_SPECK = 3  # pixels: what is smaller both ways is dust, unless it stands in a line


@dataclass(frozen=True)
class Components:
    """The connected components of a mask; number 0 is the ground. `labels` has the number of each pixel,
    `stats` left, top, width, height and pixels of each component, `centres` x and y of its centre."""

    labels: npt.NDArray[np.int32]
    stats: npt.NDArray[np.int32]
    centres: npt.NDArray[np.float64]

    def boxes(self) -> Iterator[tuple[int, Box]]:
        """Yields number and box of each component."""
        for number, (left, top, width, height, _) in enumerate(self.stats.tolist()):
            if number:
                yield number, Box(left, top, left + width, top + height)

    def pixels_of(self, number: int, box: Box) -> npt.NDArray[np.bool_]:
        """Returns which pixels of its box belong to a component."""
        return np.asarray(self.labels[box.top : box.bottom, box.left : box.right] == number, dtype=np.bool_)

    def mask_of(self, keep: npt.NDArray[np.bool_]) -> Mask:
        """Returns the mask of the components for which `keep` is true; the ground never is."""
        values = np.where(keep, 255, 0).astype(np.uint8)
        values[0] = 0
        return np.asarray(values[self.labels], dtype=np.uint8)

    def filtered(self, keep: Callable[[int, Box], bool]) -> Mask:
        """Returns the mask of the components for which `keep` is true."""
        return self.mask_of(np.array([False, *(keep(number, box) for number, box in self.boxes())]))


def connected_components(mask: Mask) -> Components:
    """Finds the connected components of a mask; diagonal neighbours are connected."""
    _, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return Components(
        np.asarray(labels, dtype=np.int32),
        np.asarray(stats, dtype=np.int32),
        np.asarray(centres, dtype=np.float64),
    )


def dilated(mask: Mask, size: int) -> Mask:
    """Returns the mask with everything within `size` // 2 pixels of it."""
    return np.asarray(cv2.dilate(mask, np.ones((size, size), dtype=np.uint8)), dtype=np.uint8)


def _opened(mask: Mask, width: int, height: int) -> Mask:
    """What of the mask belongs to a full rectangle of this size."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (width, height))
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel), dtype=np.uint8)


def _closed(mask: Mask, width: int, height: int) -> Mask:
    """The mask with gaps up to this size filled."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (width, height))
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), dtype=np.uint8)


def _over(channels: npt.NDArray[np.generic], limit: int) -> Mask:
    """Where one of the three channels is over a limit."""
    red, green, blue = channels[..., 0], channels[..., 1], channels[..., 2]
    # NumPy's own maximum over an axis takes five times as long.
    largest = np.maximum(np.maximum(red, green), blue)
    return np.asarray((largest > limit) * np.uint8(255), dtype=np.uint8)


def _contrasts(pixels: Pixels, limit: int) -> Mask:
    """Where something stands out from its ground."""
    return _over(cv2.morphologyEx(pixels, cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8)), limit)


def _window(mask: Mask, top: int, bottom: int, left: int, right: int) -> Mask:
    """A part of a mask, of which some may lie outside."""
    return mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]


@dataclass(frozen=True)
class Rules:
    """Masks of the rules of a page."""

    horizontal: Mask
    vertical: Mask

    @property
    def both(self) -> Mask:
        return np.asarray(cv2.bitwise_or(self.horizontal, self.vertical), dtype=np.uint8)


def find_rules(pixels: Pixels) -> Rules:
    """Finds solid and dashed rules and the straight edges of coloured areas."""
    across = _strokes(pixels, (1, _THICKEST + 1))
    down = _strokes(pixels, (_THICKEST + 1, 1))
    letters = _contrasts(pixels, _STRONG)
    horizontal = _opened(across, _ACROSS, 1) | _opened(_edges(pixels, 0, 1), _EDGE_ACROSS, 1)
    vertical = _opened(down, 1, _DOWN) | _opened(_edges(pixels, 1, 1), 1, _EDGE_DOWN)
    horizontal |= _opened(_pale_edges(pixels, letters, 0), _EDGE_ACROSS, 1)
    vertical |= _opened(_pale_edges(pixels, letters, 1), 1, _PALE_DOWN)
    strokes = across | down
    horizontal |= _dashed(across, strokes, _DASHED_ACROSS)
    # Turned by a quarter, verticals are horizontals.
    turned = np.ascontiguousarray(down.T), np.ascontiguousarray(strokes.T)
    vertical |= _dashed(*turned, _DASHED_DOWN).T
    vertical = _without_stems(horizontal, vertical, down, letters)
    return Rules(_without_bars(horizontal, vertical), vertical)


def _strokes(pixels: Pixels, size: tuple[int, int]) -> Mask:
    """Where something thin lies on an even ground, darker or lighter than it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, size)
    dark = cv2.morphologyEx(pixels, cv2.MORPH_BLACKHAT, kernel)
    light = cv2.morphologyEx(pixels, cv2.MORPH_TOPHAT, kernel)
    return _over(np.maximum(dark, light), _FAINT)


def _edges(pixels: Pixels, axis: int, reach: int, limit: int = _FAINT_EDGE) -> Mask:
    """Where the colour changes over a few rows (or columns), `reach` to each side."""
    before, after = np.roll(pixels, reach, axis=axis), np.roll(pixels, -reach, axis=axis)
    edges = _over(cv2.absdiff(before, after), limit)
    rows = edges if axis == 0 else edges.T
    rows[:reach], rows[-reach:] = 0, 0
    return edges


def _pale_edges(pixels: Pixels, letters: Mask, axis: int) -> Mask:
    """Edges so pale that compression breaks them: looked for away from letters, smoothed along the edge."""
    size = (_SMOOTH, 1) if axis == 0 else (1, _SMOOTH)
    smooth = np.asarray(cv2.blur(pixels, size), dtype=np.uint8)
    edges = _edges(smooth, axis, _BLURRED, _PALE)
    edges[dilated(letters, _SMOOTH) > 0] = 0
    return edges


def _dashed(along: Mask, strokes: Mask, length: int) -> Mask:
    """Closes the gaps of horizontal dashed rules, and keeps what is then long and thin."""
    whole = _closed(along, _GAP, 1)
    # A line of text closes to a block; a rule stays thin.
    thick = _opened(whole, 1, _THICKEST + 1) > 0
    long = _opened(whole, length, 1)
    long[thick] = 0
    # In line with such a rule, shorter pieces are parts of it, too.
    pieces = _opened(whole, _PIECE, 1)
    pieces[thick] = 0
    pieces[~long.any(axis=1), :] = 0

    def stands_alone(_: int, box: Box) -> bool:
        # Letters have strokes above and below their own.
        above = _window(strokes, box.top - _BESIDE, box.top - 2, box.left, box.right)
        below = _window(strokes, box.bottom + 2, box.bottom + _BESIDE, box.left, box.right)
        return all(not side.size or float((side > 0).mean()) < _CROWDED for side in (above, below))

    pieces = np.asarray(cv2.bitwise_or(long, pieces), dtype=np.uint8)
    return connected_components(pieces).filtered(stands_alone)


def _without_stems(horizontal: Mask, vertical: Mask, strokes: Mask, letters: Mask) -> Mask:
    """Drops verticals that meet no horizontal at one of their ends, and have the rest of a letter beside
    them: stems of large letters."""
    components = connected_components(vertical)

    def is_rule(number: int, box: Box) -> bool:
        left, right = box.left - _REACH, box.right + _REACH
        ends = (
            _window(horizontal, box.top - _REACH, box.top + _REACH + 1, left, right),
            _window(horizontal, box.bottom - _REACH - 1, box.bottom + _REACH, left, right),
        )
        own = components.pixels_of(number, box)
        drawn = float(((strokes[box.top : box.bottom, box.left : box.right] > 0) & own).any(axis=1).mean())
        # A stem as tall and as thin as that belongs to a large letter or to none; the edge of one may.
        thin = box.height >= _FREE_THIN and drawn > _MOSTLY
        near = round(_NEAR * box.height)
        sides = (
            _window(letters, box.top, box.bottom, box.left - near, box.left - _REACH + 1),
            _window(letters, box.top, box.bottom, box.right + _REACH - 1, box.right + near),
        )
        alone = all(not side.size or float((side > 0).any(axis=1).mean()) < _BESIDE_STEM for side in sides)
        return box.height >= _FREE or (thin and alone) or all(end.any() for end in ends)

    return components.filtered(is_rule)


def _without_bars(horizontal: Mask, vertical: Mask) -> Mask:
    """Drops short horizontals that meet no vertical: bars of letters, in a row by chance."""

    def is_rule(_: int, box: Box) -> bool:
        around = (box.top - _REACH, box.bottom + _REACH, box.left - _REACH, box.right + _REACH)
        return box.width >= _FREE or bool(_window(vertical, *around).any())

    return connected_components(horizontal).filtered(is_rule)


@dataclass(frozen=True)
class Ink:
    """What stands out on a page without rules and frames. `drawn` are these, which are painted over before
    a line is read; `components` has left, top, width and height of each component; `text_height` is that of
    the usual text."""

    mask: Mask
    rules: Rules
    drawn: Mask
    components: npt.NDArray[np.int32]
    text_height: int

    def lines(self, box: Box, *, apart: float) -> list[Box]:
        """Cuts a region into lines, and these where a gap is wider than `apart` line heights.

        In reading order: from top to bottom, columns that interlock from left to right.
        """
        return list(self._cut(box, apart, down=True))

    def _cut(self, box: Box, apart: float, *, down: bool, stuck: bool = False) -> Iterator[Box]:
        """Cuts between rows and between columns in turn (a recursive XY-cut). `stuck`: the last cut the other
        way found nothing."""
        marked = self.mask[box.top : box.bottom, box.left : box.right] > 0
        profile = np.asarray(marked.any(axis=1 if down else 0), dtype=np.bool_)
        if not profile.any():
            return
        if down:
            spans = self._rejoined(_runs(profile))
            boxes = [Box(box.left, box.top + start, box.right, box.top + end) for start, end in spans]
        else:
            boxes = [
                Box(part.left + start, part.top, part.left + end, part.bottom)
                for part, own_profile in self._between_rules(box, profile)
                for start, end in self._pieces(part, own_profile, apart)
            ]
        if len(boxes) == 1 and stuck:
            # Nothing empty runs through it: one line, or several that touch.
            boxes = self._touching_lines(boxes[0])
            if len(boxes) == 1:
                if boxes[0].width > _SPECK or boxes[0].height > _SPECK:
                    yield boxes[0]
                return
        for part in boxes:
            yield from self._cut(part, apart, down=not down, stuck=len(boxes) == 1)

    def _between_rules(self, box: Box, profile: Profile) -> Iterator[tuple[Box, Profile]]:
        """The parts of a region between the vertical rules that run through it."""
        drawn = self.rules.vertical[box.top : box.bottom, box.left : box.right].mean(axis=0)
        at = 0
        for rule in [*cluster(np.flatnonzero(drawn > _RUNS_THROUGH).tolist(), 3), box.width]:
            if rule > at:
                yield Box(box.left + at, box.top, box.left + rule, box.bottom), profile[at:rule]
            at = rule

    def _pieces(self, box: Box, profile: Profile, apart: float) -> Iterator[tuple[int, int]]:
        """Cuts a region at gaps that are wider than `apart`, and at gutters between columns."""
        letter = max(self._letter_height(box, 90), 0.6 * self.text_height)
        start, end = None, 0
        for left, right in _runs(profile):
            if start is not None:
                gap = Box(box.left + end, box.top, box.left + left, box.bottom)
                if gap.width >= round(apart * letter) or (
                    apart < _ONE_COLUMN and end - start > _MARK * letter and self._is_gutter(gap, letter)
                ):
                    yield start, end
                    start = None
            start, end = left if start is None else start, right
        if start is not None:
            yield start, end

    def _is_gutter(self, gap: Box, letter: float) -> bool:
        """Whether a column begins behind a gap in one line: lines above or below begin there, too, and none
        runs across. Cells of a table without rules stand that close to each other, words do not."""
        if gap.width < _GUTTER * letter or gap.height > 2 * _TOUCHING * letter:
            return False
        around = round(_AROUND * letter)
        top, right = max(0, gap.top - around), gap.right + round(_INDENT * letter)
        near = self.mask[top : gap.bottom + around, gap.left : right] > 0
        rows = [near[start:end] for start, end in _runs(near.any(axis=1)) if end - start > letter / 2]
        inked = np.flatnonzero(near[:, : gap.width].any(axis=0))
        blank = np.diff([-1, *inked.tolist(), gap.width]).max() - 1
        return len(rows) >= _LINES and int(blank) >= _GUTTER * letter

    def _letter_height(self, box: Box, percentile: int) -> float:
        left, top, width, height = self.components.T
        inside = (left >= box.left) & (left + width <= box.right) & (top >= box.top)
        heights = height[inside & (top + height <= box.bottom)]
        return float(np.percentile(heights, percentile)) if heights.size else 0.0

    def _touching_lines(self, box: Box) -> list[Box]:
        """The lines of a box in which letters of one touch those of the next."""
        if box.width < box.height:
            return [box]
        # The mask is a pixel larger than the letters all around.
        thin = cv2.erode(self.mask[box.top : box.bottom, box.left : box.right], np.ones((3, 1), np.uint8))
        heights = connected_components(np.asarray(thin, dtype=np.uint8)).stats[1:, 3]
        letter = float(np.percentile(heights, 75)) if heights.size else 0.0
        if not letter or box.height < _TOUCHING * letter:
            return [box]
        ink = (thin > 0).sum(axis=1)
        least = round(_LOWEST_LINE * letter)
        inner = ink[least : box.height - least]
        if not inner.size:
            return [box]
        at = least + int(inner.argmin())
        if ink[at] > _VALLEY * min(np.percentile(ink[:at], 75), np.percentile(ink[at:], 75)):
            return [box]
        border = box.top + at
        return [Box(box.left, box.top, box.right, border), Box(box.left, border, box.right, box.bottom)]

    def _rejoined(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Joins what only looks like two lines: the dot above, the comma below, ㅗ without neighbours."""
        joined: list[tuple[int, int]] = []
        for start, end in spans:
            if joined:
                before = joined[-1]
                low = min(end - start, before[1] - before[0]) < 0.5 * self.text_height
                near = start - before[1] <= max(2, 0.16 * self.text_height)
                if near and low and end - before[0] <= 1.4 * self.text_height:
                    joined[-1] = (before[0], end)
                    continue
            joined.append((start, end))
        return joined


def find_ink(pixels: Pixels, rules: Rules) -> Ink:
    """Marks everything that stands out from its ground and is neither rule nor frame."""
    mask = _contrasts(pixels, _CONTRAST)
    # Frames first, while their corners still hang together with their sides.
    components = connected_components(mask)
    pills = _pills(components)
    drawn = _frames(components, 4) | pills | dilated(rules.both, 5)
    mask[(drawn | dilated(pills, 3)) > 0] = 0
    # A frame that touched a table has lost a side with the table's rules.
    drawn |= _frames(connected_components(mask), 3)
    mask[drawn > 0] = 0
    components = connected_components(mask)
    # Single pixels are dust.
    mask = components.mask_of(components.stats[:, 2:4].max(axis=1) > 1)
    boxes = connected_components(mask).stats[1:, :4]
    return Ink(mask, rules, drawn, boxes, _text_height(boxes))


def _text_height(boxes: npt.NDArray[np.int32]) -> int:
    """How tall the usual text is, by the boxes of components."""
    letters = boxes[(boxes[:, 3] >= _LETTER[0]) & (boxes[:, 3] <= _LETTER[1]), 3]
    return round(float(np.percentile(letters, 75))) if len(letters) >= _ENOUGH_LETTERS else _DEFAULT_HEIGHT


def _frames(components: Components, sides: int) -> Mask:
    """The components that are outlines with so many sides around letters."""
    return components.filtered(lambda number, box: _is_frame(components, number, box, sides))


def _is_frame(components: Components, number: int, box: Box, sides: int) -> bool:
    least = _FRAME if sides == 4 else _OPEN_FRAME  # noqa: PLR2004 - sides
    area = box.width * box.height
    if box.width < least[0] or box.height < least[1] or components.stats[number, 4] > _OUTLINE * area:
        return False
    x, y = components.centres[1:, 0], components.centres[1:, 1]
    inside = (x > box.left + 2) & (x < box.right - 2) & (y > box.top + 2) & (y < box.bottom - 2)
    inside[number - 1] = False
    # A letter such as ㅁ encloses nothing; letters that touch, as in 엔드, have no sides.
    if not (inside & (components.stats[1:, 3] >= _LETTER[0])).any():
        return False
    own = components.pixels_of(number, box)
    edges = (own[:3].any(axis=0), own[-3:].any(axis=0), own[:, :3].any(axis=1), own[:, -3:].any(axis=1))
    if sum(float(np.mean(edge)) >= _SIDE for edge in edges) < sides:
        return False
    # Large letters that touch have sides, too, but no room within.
    _, _, stats, _ = cv2.connectedComponentsWithStats((~own).astype(np.uint8), connectivity=4)
    return int(stats[1:, 4].max(initial=0)) >= _ROOM * area


def _pills(components: Components) -> Mask:
    """The outlines of pills whose letters touch them, without the letters."""
    outlines = np.zeros(components.labels.shape, dtype=np.uint8)
    least = _TALLER * _text_height(components.stats[1:, :4])
    for number, box in components.boxes():
        if not least <= box.height <= _LETTER[1] or box.width < _PILL * box.height:
            continue
        own = np.pad(components.pixels_of(number, box).astype(np.uint8), 1)
        contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros_like(own), contours, -1, 1, cv2.FILLED)
        within = np.asarray(cv2.erode(filled, np.ones((_LINE, _LINE), dtype=np.uint8)), dtype=np.uint8)
        inside = (own & within)[_LINE:-_LINE]
        # Words stand apart from the ends of their pill; letters that only touch have no such room.
        has_room = not (inside[:, : _LINE + 1].any() or inside[:, -_LINE - 1 :].any())
        if (
            has_room
            and inside.any()
            and _straight(own) >= _STRAIGHT * box.width
            and filled.sum() >= _FULL * box.width * box.height
        ):
            outline = own & (1 - within)
            outlines[box.top : box.bottom, box.left : box.right] |= outline[1:-1, 1:-1] * np.uint8(255)
    return outlines


def _straight(own: npt.NDArray[np.uint8]) -> int:
    """Pixels of the longest stroke along the top and the bottom of a component: the shorter of the two."""
    longest = [max(end - start for start, end in _runs(row > 0)) for row in own if row.any()]
    return min(max(longest[:4]), max(longest[-4:]))


def _runs(profile: npt.ArrayLike) -> list[tuple[int, int]]:
    """Start and end of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], profile, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
