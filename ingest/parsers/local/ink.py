"""Where there is text: boxes of lines, and of the pieces of a line that stand apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ingest.parsers.local.decode import Pixels
from ingest.parsers.local.geometry import Box, clustered
from ingest.parsers.local.marks import Marks, Mask, grown, marks_of, strongest
from ingest.parsers.local.rules import Rules

_CONTRAST = 40
"""Grey levels between ink and ground: what differs less is not read."""
_LETTER = (5, 80)
"""Pixels: heights of marks that count when the usual height of text is measured."""
_USUAL = 14
"""Pixels: height of text where a page has too little of it to measure."""
_THROUGH = 255 * 0.8
"""Mean of a column of the mask from which a vertical rule runs through a region."""
_ENOUGH = 10
"""Letters from which the usual height is measured."""
_FRAME, _OPEN_FRAME = (20, 12), (40, 22)
"""Pixels: the smallest frame with four sides, and with three."""
_OUTLINE = 0.5
"""Share of its box that an outline covers at most."""
_SIDE, _ROOM = 0.25, 0.55
"""Shares of each side of its box that a frame covers, for a pill's ends are round, and of the box inside."""
_TALLER, _PILL, _FULL, _STRAIGHT, _LINE = 1.25, 1.5, 0.85, 0.5, 7
"""A pill: its least height by that of usual text, its least width by its height, the share of its box that it
fills, that of its top and its bottom that is straight, and twice the pixels of its outline."""
_ONE_COLUMN = 2.0
"""Line heights of a gap inside a line from which there is one column only, and no gutter."""
_GUTTER, _AROUND, _INDENT, _LINES, _MARK = 0.7, 3.8, 1.6, 3, 1.5
"""A gutter, in heights of letters: its least width, how far above and below it is looked at, how far to
the right, where lines may be indented; how many lines begin there; the least width of what stands before
it, so that it is no bullet."""
_TOUCHING, _LOWEST_LINE, _VALLEY = 1.6, 0.6, 0.3
"""Lines that touch: heights of letters of a box that may hold two, of the lowest line, and how much ink there
is at most where two meet, by that of a full row."""
_SPECK = 3
"""Pixels: what is smaller both ways is dust, unless it stands in a line."""


@dataclass(frozen=True)
class Ink:
    """The marks on a page without rules and frames, and how tall its usual line of text is."""

    mask: Mask
    rules: Rules
    drawn: Mask
    """Rules and frames, which are painted over before a line is read."""
    marks: npt.NDArray[np.int32]
    """Left, top, width, height of each mark."""
    usual: int

    def lines(self, box: Box, *, apart: float) -> list[Box]:
        """Cuts a region into lines, and these where a gap is wider than `apart` line heights.

        In reading order: from top to bottom, columns that interlock from left to right.
        """
        return list(self._cut(box, apart, down=True))

    def _cut(self, box: Box, apart: float, *, down: bool, stuck: bool = False) -> Iterator[Box]:
        marked = self.mask[box.top : box.bottom, box.left : box.right] > 0
        profile = np.asarray(marked.any(axis=1 if down else 0), dtype=np.bool_)
        if not profile.any():
            return
        if down:
            spans = self._rejoined(list(_parts(profile, 1)))
            boxes = [Box(box.left, box.top + a, box.right, box.top + b) for a, b in spans]
        else:
            boxes = [
                Box(part.left + a, part.top, part.left + b, part.bottom)
                for part, empty in self._between_rules(box, profile)
                if empty.any()
                for a, b in self._pieces(part, empty, apart)
            ]
        if len(boxes) == 1 and stuck:
            # Nothing empty runs through it: one line, or several that touch.
            boxes = self._touching(boxes[0])
            if len(boxes) == 1:
                if boxes[0].width > _SPECK or boxes[0].height > _SPECK:
                    yield boxes[0]
                return
        for part in boxes:
            yield from self._cut(part, apart, down=not down, stuck=len(boxes) == 1)

    def _between_rules(
        self, box: Box, profile: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[Box, npt.NDArray[np.bool_]]]:
        """The parts of a region between the vertical rules that run through it."""
        drawn = self.rules.vertical[box.top : box.bottom, box.left : box.right].mean(axis=0)
        at = 0
        for rule in [*clustered(np.flatnonzero(drawn > _THROUGH).tolist(), 3), box.width]:
            if rule > at:
                yield Box(box.left + at, box.top, box.left + rule, box.bottom), profile[at:rule]
            at = rule

    def _pieces(self, box: Box, profile: npt.NDArray[np.bool_], apart: float) -> Iterator[tuple[int, int]]:
        """Cuts a region at gaps that are wider than `apart`, and at those that part columns."""
        letter = max(self._letter(box, 90), 0.6 * self.usual)
        start, reach = None, 0
        for a, b in _parts(profile, 1):
            if start is not None:
                gap = Box(box.left + reach, box.top, box.left + a, box.bottom)
                if gap.width >= round(apart * letter) or (
                    apart < _ONE_COLUMN and reach - start > _MARK * letter and self._is_gutter(gap, letter)
                ):
                    yield start, reach
                    start = None
            start, reach = a if start is None else start, b
        if start is not None:
            yield start, reach

    def _is_gutter(self, gap: Box, letter: float) -> bool:
        """Whether what follows a gap in one line is a column: lines above or below begin there, too, and none
        runs across. Cells of a table without rules stand that close to each other, words do not."""
        if gap.width < _GUTTER * letter or gap.height > 2 * _TOUCHING * letter:
            return False
        around = round(_AROUND * letter)
        top, right = max(0, gap.top - around), gap.right + round(_INDENT * letter)
        seen = self.mask[top : gap.bottom + around, gap.left : right] > 0
        profile = np.asarray(seen.any(axis=1), dtype=np.bool_)
        rows = [seen[a:b] for a, b in _parts(profile, 1) if b - a > letter / 2] if profile.any() else []
        inked = np.flatnonzero(seen[:, : gap.width].any(axis=0))
        blank = np.diff([-1, *inked.tolist(), gap.width]).max() - 1
        return len(rows) >= _LINES and int(blank) >= _GUTTER * letter

    def _letter(self, box: Box, percentile: int) -> float:
        """How tall the letters of a region are."""
        left, top, wide, tall = self.marks.T
        there = (left >= box.left) & (left + wide <= box.right) & (top >= box.top)
        heights = tall[there & (top + tall <= box.bottom)]
        return float(np.percentile(heights, percentile)) if heights.size else 0.0

    def _touching(self, box: Box) -> list[Box]:
        """The lines of a box in which letters of one touch those of the next."""
        if box.width < box.height:
            return [box]
        # The mask is a pixel larger than the letters all around.
        thin = cv2.erode(self.mask[box.top : box.bottom, box.left : box.right], np.ones((3, 1), np.uint8))
        heights = marks_of(np.asarray(thin, dtype=np.uint8)).stats[1:, 3]
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
        return [
            Box(box.left, box.top, box.right, box.top + at),
            Box(box.left, box.top + at, box.right, box.bottom),
        ]

    def _rejoined(self, parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Joins what only looks like two lines: the dot above, the comma below, ㅗ without neighbours."""
        joined: list[tuple[int, int]] = []
        for start, end in parts:
            if joined:
                before = joined[-1]
                low = min(end - start, before[1] - before[0]) < 0.5 * self.usual
                near = start - before[1] <= max(2, 0.16 * self.usual)
                if near and low and end - before[0] <= 1.4 * self.usual:
                    joined[-1] = (before[0], end)
                    continue
            joined.append((start, end))
        return joined


def find_ink(pixels: Pixels, rules: Rules) -> Ink:
    """Marks everything that stands out from its ground and is neither rule nor frame."""
    gradient = strongest(cv2.morphologyEx(pixels, cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8)))
    mask = np.asarray((gradient > _CONTRAST) * np.uint8(255), dtype=np.uint8)
    # Frames first, while their corners still hang together with their sides.
    marks = marks_of(mask)
    pills = _pills(marks)
    drawn = _frames(marks, 4) | pills | grown(rules.both, 5)
    mask[(drawn | grown(pills, 3)) > 0] = 0
    # A frame that touched a table has lost a side with the table's rules.
    marks = marks_of(mask)
    drawn |= _frames(marks, 3)
    mask[drawn > 0] = 0
    marks = marks_of(mask)
    # Single pixels are dust.
    mask = marks.chosen(marks.stats[:, 2:4].max(axis=1) > 1)
    boxes = marks_of(mask).stats[1:, :4]
    return Ink(mask, rules, drawn, boxes, _usual(boxes))


def _usual(boxes: npt.NDArray[np.int32]) -> int:
    """Pixels: how tall the usual text is, by boxes of marks."""
    letters = boxes[(boxes[:, 3] >= _LETTER[0]) & (boxes[:, 3] <= _LETTER[1]), 3]
    return round(float(np.percentile(letters, 75))) if len(letters) >= _ENOUGH else _USUAL


def _frames(marks: Marks, sides: int) -> Mask:
    """The marks that are outlines with so many sides around letters."""
    return marks.chosen(np.array([_is_frame(number, marks, sides) for number in range(len(marks.stats))]))


def _pills(marks: Marks) -> Mask:
    """The outlines of pills whose letters touch them, without the letters."""
    outlines = np.zeros(marks.labels.shape, dtype=np.uint8)
    least = _TALLER * _usual(marks.stats[1:, :4])
    for number in marks.numbers:
        left, top, wide, tall, _ = (int(value) for value in marks.stats[number])
        if tall < least or tall > _LETTER[1] or wide < _PILL * tall:
            continue
        own = np.pad((marks.labels[top : top + tall, left : left + wide] == number).astype(np.uint8), 1)
        contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros_like(own), contours, -1, 1, cv2.FILLED)
        within = cv2.erode(filled, np.ones((_LINE, _LINE), dtype=np.uint8))
        inside = (own & within)[_LINE:-_LINE]
        # Words stand apart from the ends of their pill; letters that only touch have no such room.
        roomy = not (inside[:, : _LINE + 1].any() or inside[:, -_LINE - 1 :].any())
        if (
            roomy
            and inside.any()
            and _straight(own) >= _STRAIGHT * wide
            and filled.sum() >= _FULL * wide * tall
        ):
            outline = own & (1 - within)
            outlines[top : top + tall, left : left + wide] |= outline[1:-1, 1:-1] * np.uint8(255)
    return outlines


def _is_frame(number: int, marks: Marks, wanted: int) -> bool:
    left, top, wide, tall, area = (int(value) for value in marks.stats[number])
    least = _FRAME if wanted == 4 else _OPEN_FRAME  # noqa: PLR2004 - sides
    if number == 0 or wide < least[0] or tall < least[1] or area > _OUTLINE * wide * tall:
        return False
    x, y = marks.centres[1:, 0], marks.centres[1:, 1]
    inside = (x > left + 2) & (x < left + wide - 2) & (y > top + 2) & (y < top + tall - 2)
    inside[number - 1] = False
    # A letter such as ㅁ encloses nothing; letters that touch, as in 엔드, have no sides.
    if not (inside & (marks.stats[1:, 3] >= _LETTER[0])).any():
        return False
    own = marks.labels[top : top + tall, left : left + wide] == number
    if sum(side >= _SIDE for side in _sides(own)) < wanted:
        return False
    # Large letters that touch have sides, too, but no room within.
    _, _, stats, _ = cv2.connectedComponentsWithStats((~own).astype(np.uint8), connectivity=4)
    return int(stats[1:, 4].max(initial=0)) >= _ROOM * wide * tall


def _straight(own: npt.NDArray[np.uint8]) -> int:
    """Pixels of the longest stroke along the top and the bottom of a mark: the shorter of the two."""
    longest = [max((b - a for a, b in _parts(row > 0, 1)), default=0) for row in own if row.any()]
    return min(max(longest[:4]), max(longest[-4:]))


def _sides(own: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """How much of each side of its box a mark covers."""
    sides = (own[:3].any(axis=0), own[-3:].any(axis=0), own[:, :3].any(axis=1), own[:, -3:].any(axis=1))
    top, bottom, left, right = (float(np.mean(side)) for side in sides)
    return top, bottom, left, right


def _parts(profile: npt.NDArray[np.bool_], gap: int) -> Iterator[tuple[int, int]]:
    """Runs of marks; those with at most `gap` - 1 empty places between them are one."""
    marked = np.flatnonzero(profile)
    breaks = np.flatnonzero(np.diff(marked) > gap)
    starts = np.concatenate(([marked[0]], marked[breaks + 1]))
    ends = np.concatenate((marked[breaks], [marked[-1]])) + 1
    yield from zip(starts.tolist(), ends.tolist(), strict=True)
