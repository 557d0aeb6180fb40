"""The image of one line as the models read it best (dark on light, one height, no bullet), and where its
words begin and end.

The models' own spaces are of little use: they put them inside words. The widths of gaps alone are not
enough either, because 기 and 이 have much room at their sides and fonts differ. Hangul stands on a
grid, though: from the middle of one syllable to that of the next it is one step, or one and a space.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ingest.parsers.local.segmentation import Mask, Pixels

Grey = npt.NDArray[np.uint8]
InkMask = npt.NDArray[np.bool_]
Gap = tuple[int, int]  # first column without ink, and first with ink behind it

HEIGHT = 40  # pixels of ink from top to bottom; 36 to 48 read best
PAD = 14  # pixels of white on every side
_FAINTEST = 30  # grey levels: a region whose ink differs less from its ground holds no text
_INK = 0.4  # share of the strongest difference from the ground that counts as ink
_LARGEST_SCALE = 5.0  # small type is not enlarged beyond it
_WIDEST_IMAGE = 12_000  # pixels; the models stop at 32,767, and no line of text is that long

# Bullets, in terms of the line's height ---------------------------------------------------------------
_SOLID = 0.9  # share of a bar's rows that are filled from side to side
_MIRRORED = 0.97  # share of a mark's ink that its mirror image covers, give or take a pixel
_ROOM = 0.28  # the space behind a bullet
_SQUARE = (0.7, 1.5)  # widths of a bullet in terms of its own height
_TRIANGLE = 0.5  # share of its box that a filled triangle covers
_WIDEST_BULLET, _BULLET_SPACE = (
    1.1,
    0.2,
)  # the widest mark that may be a bullet, and the least space behind one
_SHAPE, _SAME = 12, 0.12  # sides of the image that marks are compared by, and how much they differ at most

# Spaces, in terms of HEIGHT ---------------------------------------------------------------------------
_HANGUL = re.compile("[가-힣]")
_SPACE, _NARROWEST, _WIDEST = 0.25, 0.17, 0.38  # where a line's gaps do not tell, and between which they may
_LEAP = 0.2
_NEVER, _ALWAYS = 0.1, 0.6  # a gap that is never, and always, a space
_MATCH = 0.4  # between the edge of a gap and the letter behind it
_STEP = 0.35  # share of the steps of a line that are surely shorter than one with a space
_LEAST_STEPS = 3
# A logistic regression on 633 lines of sample postings in six fonts from 11 to 22 pixels: 18 of 1,505
# spaces wrong, where the widths of gaps alone get 64 wrong.
_WEIGHTS = {"gap": 24.05, "over": 31.76, "step": 17.44, "no_step": 0.25, "model": 11.69, "bias": -17.77}


@dataclass(frozen=True, slots=True)
class Symbol:
    """A recognised letter: its left and right edge in the line's image, confidence from 0 to 100, and whether
    the model begins a word with it."""

    text: str
    left: int
    right: int
    confidence: float
    spaced: bool


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
class LineImage:
    """A line: `grey` has it dark on white, `gaps` are the columns without ink inside it, left to right."""

    grey: Grey
    gaps: list[Gap]
    bulleted: bool

    def cut(self, left: int, right: int) -> Grey:
        """Returns a part of the line with white at its sides."""
        pad = np.full((self.grey.shape[0], PAD), 255, dtype=np.uint8)
        return np.ascontiguousarray(np.hstack((pad, self.grey[:, max(0, left) : right], pad)))


def make_line_image(crop: Pixels, drawn: Mask, bullets: Sequence[Bullet] = ()) -> LineImage | None:
    """Returns the image of the line in `crop`, without the rules and frames that `drawn` marks there, and
    without what it begins with: a bar, a mark of the shape of bullets, or one of the page's `bullets`.

    None when there is no ink to speak of.
    """
    found = _find_ink(crop, drawn)
    if found is None:
        return None
    difference, ink, (left, top, right, bottom) = found
    strongest = float(np.percentile(difference, 99.5))
    bar = _bar(ink)
    text = bar or _bullet(ink) or _known_bullet(bullets, ink)
    if text:
        left += text
        rows = np.flatnonzero(ink[:, text:].any(axis=1))
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    # A pixel more all around: the faint edges of letters are part of them.
    part = difference[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1]
    scale = min(_LARGEST_SCALE, HEIGHT / (bottom - top), _WIDEST_IMAGE / part.shape[1])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    scaled = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    dark = 255 - np.clip(scaled * (255.0 / strongest), 0, 255).astype(np.uint8)
    grey = np.asarray(np.pad(dark, PAD, constant_values=255), dtype=np.uint8)
    inked = np.flatnonzero((grey < 255 * (1 - _INK)).any(axis=0))
    breaks = np.flatnonzero(np.diff(inked) > 1)
    gaps = [(int(inked[at]) + 1, int(inked[at + 1])) for at in breaks]
    return LineImage(grey, gaps, bool(text and not bar))


def leading_mark(crop: Pixels, drawn: Mask) -> Bullet | None:
    """Returns what the line in `crop` begins with, where that may be a bullet: one mark, apart from what
    follows."""
    found = _find_ink(crop, drawn)
    return None if found is None else _single_mark(found[1])


def _find_ink(crop: Pixels, drawn: Mask) -> tuple[Grey, InkMask, tuple[int, int, int, int]] | None:
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


def _first_gap(ink: InkMask) -> Gap | None:
    """The first gap of a line; None where there is none."""
    columns = np.asarray(ink.any(axis=0))
    empty = np.flatnonzero(~columns)
    if not empty.size:
        return None
    start = int(empty[0])
    return start, start + int(np.flatnonzero(columns[start:])[0])


def _bar(ink: InkMask) -> int:
    """Where the text behind an upright bar begins, as some put in front of headings; 0 without one."""
    height = ink.shape[0]
    gap = _first_gap(ink)
    if gap is None or gap[0] > 0.35 * height or gap[1] - gap[0] < 0.2 * height:
        return 0
    end, text = gap
    if not ink[:, :end].all(axis=1).mean() > _SOLID:
        return 0
    letters = np.flatnonzero(ink[:, text:].any(axis=1))
    # The bar is taller than what it stands before: a capital I or 1 is not.
    return text if letters[-1] - letters[0] + 1 < 0.95 * height else 0


def _bullet(ink: InkMask) -> int:
    """Where the text behind a bullet begins; 0 when the line begins with no bullet.

    A bullet is a short or filled mark that stands apart: a dash, a dot, a filled triangle or square.
    """
    height = ink.shape[0]
    gap = _first_gap(ink)
    if gap is None or gap[0] > 1.1 * height or gap[1] - gap[0] < max(2, 0.12 * height):
        return 0
    end, text = gap
    rows = np.flatnonzero(ink[:, :end].any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    mark, tall = ink[top:bottom, :end], bottom - top
    is_low = tall <= 0.45 * height and top > 0.2 * height and bottom < 0.85 * height
    is_filled = (
        tall <= 0.9 * height
        and end >= 0.35 * height
        and float(mark.mean()) > _TRIANGLE
        and _has_no_holes(mark)
    )
    # 이 and 응 begin with a ring, too, but with no room behind it.
    is_apart = text - end >= _ROOM * height
    is_shape = is_apart and 0.3 * height <= end and tall <= 0.95 * height and _is_symmetric(mark)
    return text if is_low or is_filled or is_shape else 0


def _single_mark(ink: InkMask) -> Bullet | None:
    height = ink.shape[0]
    gap = _first_gap(ink)
    if gap is None or gap[0] > _WIDEST_BULLET * height or gap[1] - gap[0] < _BULLET_SPACE * height:
        return None
    end, text = gap
    rows = np.flatnonzero(ink[:, :end].any(axis=1))
    mark = ink[rows[0] : rows[-1] + 1, :end].astype(np.uint8)
    if cv2.connectedComponents(mark, connectivity=8)[0] != 2:  # noqa: PLR2004 - the ground and one mark
        return None
    shape = cv2.resize(mark.astype(np.float32), (_SHAPE, _SHAPE), interpolation=cv2.INTER_AREA)
    return Bullet(np.asarray(shape, dtype=np.float32), mark.shape[1], mark.shape[0], text)


def _known_bullet(bullets: Sequence[Bullet], ink: InkMask) -> int:
    """Where the text behind one of the bullets begins; 0 when the line begins with none of them."""
    mark = _single_mark(ink) if bullets else None
    return mark.text if mark is not None and any(map(mark.is_like, bullets)) else 0


def _is_symmetric(mark: InkMask) -> bool:
    """Whether the mark is its own mirror image both ways, as ○, ●, ◆ and ※ are and hardly a letter is."""
    marked = np.flatnonzero(mark.any(axis=0))
    mark = mark[:, marked[0] : marked[-1] + 1]
    thick = cv2.dilate(mark.astype(np.uint8), np.ones((3, 3), dtype=np.uint8))
    return (
        all(float(thick[np.flip(mark, axis)].mean()) >= _MIRRORED for axis in (0, 1))
        and _SQUARE[0] <= mark.shape[1] / mark.shape[0] <= _SQUARE[1]
    )


def _has_no_holes(mark: InkMask) -> bool:
    """Whether each row of the mark is one stroke, as rows of letters are not."""
    changes = np.diff(mark.astype(np.int8), axis=1)
    return bool(((changes == 1).sum(axis=1) + mark[:, 0] <= 1).all())


def word_edges(image: LineImage, symbols: Sequence[Symbol]) -> list[tuple[int, int]]:
    """Returns left and right edges of the words of a line, by its gaps and what a model reads there."""
    threshold = _space_width([right - left for left, right in image.gaps]) / HEIGHT
    next_symbols = _symbols_behind_gaps(image.gaps, symbols)
    steps = _long_steps(image, symbols, next_symbols)
    edges = [PAD]
    for gap in image.gaps:
        width = (gap[1] - gap[0]) / HEIGHT
        number = next_symbols.get(gap)
        if number is None or not _NEVER < width < _ALWAYS:
            is_space = width >= threshold
        else:
            step = steps.get(number)
            score = (
                _WEIGHTS["bias"]
                + _WEIGHTS["gap"] * width
                + _WEIGHTS["over"] * (width - threshold)
                + (_WEIGHTS["no_step"] if step is None else _WEIGHTS["step"] * step)
                + _WEIGHTS["model"] * symbols[number].spaced
            )
            is_space = score > 0
        if is_space:
            edges += gap
    edges.append(image.grey.shape[1] - PAD)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _space_width(gaps: Sequence[int]) -> float:
    """Pixels from which a gap seems to be a space: where the sizes of the line's gaps leap."""
    sizes = [2, *sorted(gap for gap in gaps if gap > 1)]
    leaps = [
        ((b - a) / (a + 4), (a + b) / 2)
        for a, b in itertools.pairwise(sizes)
        if _NARROWEST * HEIGHT <= (a + b) / 2 <= _WIDEST * HEIGHT
    ]
    leap, middle = max(leaps, default=(0.0, 0.0))
    return middle if leap > _LEAP else _SPACE * HEIGHT


def _symbols_behind_gaps(gaps: Sequence[Gap], symbols: Sequence[Symbol]) -> dict[Gap, int]:
    """For each gap between two letters, the number of the one behind it."""
    numbers: dict[Gap, int] = {}
    for number, (before, symbol) in enumerate(itertools.pairwise(symbols), 1):
        near = [gap for gap in gaps if abs(gap[1] - symbol.left) <= _MATCH * HEIGHT and gap[0] > before.left]
        if near:
            numbers.setdefault(min(near, key=lambda gap: abs(gap[1] - symbol.left)), number)
    return numbers


def _long_steps(
    image: LineImage, symbols: Sequence[Symbol], next_symbols: dict[Gap, int]
) -> dict[int, float]:
    """For each syllable behind another, how much longer than usual the step to its middle is."""
    gaps = {number: gap for gap, number in next_symbols.items()}
    borders = [gaps.get(number, (symbol.left, symbol.left)) for number, symbol in enumerate(symbols)][1:]
    lefts = [PAD, *(gap[1] for gap in borders)]
    rights = [*(gap[0] for gap in borders), image.grey.shape[1] - PAD]
    middles = [(left + right) / 2 for left, right in zip(lefts, rights, strict=True)]
    steps = {
        number: middles[number] - middles[number - 1]
        for number in range(1, len(symbols))
        if _HANGUL.match(symbols[number].text) and _HANGUL.match(symbols[number - 1].text)
    }
    if len(steps) < _LEAST_STEPS:
        return {}
    usual = sorted(steps.values())[int(len(steps) * _STEP)]
    return {number: step / usual - 1 for number, step in steps.items()} if usual > 0 else {}
