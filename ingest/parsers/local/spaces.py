"""Where one word ends and the next begins.

The models' own spaces are of little use: they put them inside words. The widths of gaps alone are not
enough either, because 기 and 이 have much room at their sides and fonts differ. Hangul stands on a
grid, though: from the middle of one syllable to that of the next it is one step, or one and a space.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from ingest.parsers.local.ocr import Symbol
from ingest.parsers.local.picture import HEIGHT, PAD, Picture

_HANGUL = re.compile("[가-힣]")
_SPACE, _NARROWEST, _WIDEST = 0.25, 0.17, 0.38
"""Heights: a space where a line does not tell, and between which it may."""
_LEAP = 0.2
_NEVER, _ALWAYS = 0.1, 0.6
"""Heights of a gap that is never, and always, a space."""
_MATCH = 0.4
"""Heights between the edge of a gap and the letter behind it."""
_STEP = 0.35
"""Share of the steps of a line that are surely shorter than one with a space."""
_LEAST_STEPS = 3
# A logistic regression on 633 lines of sample postings in six fonts from 11 to 22 pixels: 18 of 1,505
# spaces wrong, where the widths of gaps alone get 64 wrong.
_WEIGHTS = {"gap": 24.05, "over": 31.76, "step": 17.44, "no_step": 0.25, "seen": 11.69, "bias": -17.77}


def word_edges(picture: Picture, symbols: Sequence[Symbol]) -> list[tuple[int, int]]:
    """Left and right edges of the words of a line, by its gaps and what a model reads there."""
    threshold = _threshold([right - left for left, right in picture.gaps]) / HEIGHT
    borders = _borders(picture.gaps, symbols)
    steps = _steps(picture, symbols, borders)
    edges = [PAD]
    for gap in picture.gaps:
        wide = (gap[1] - gap[0]) / HEIGHT
        number = borders.get(gap)
        if number is None or not _NEVER < wide < _ALWAYS:
            is_space = wide >= threshold
        else:
            step = steps.get(number)
            score = (
                _WEIGHTS["bias"]
                + _WEIGHTS["gap"] * wide
                + _WEIGHTS["over"] * (wide - threshold)
                + (_WEIGHTS["no_step"] if step is None else _WEIGHTS["step"] * step)
                + _WEIGHTS["seen"] * symbols[number].spaced
            )
            is_space = score > 0
        if is_space:
            edges += gap
    edges.append(picture.grey.shape[1] - PAD)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _threshold(gaps: Sequence[int]) -> float:
    """Pixels from which a gap seems to part words: where the sizes of the line's gaps leap."""
    sizes = [2, *sorted(gap for gap in gaps if gap > 1)]
    leaps = [
        ((b - a) / (a + 4), (a + b) / 2)
        for a, b in itertools.pairwise(sizes)
        if _NARROWEST * HEIGHT <= (a + b) / 2 <= _WIDEST * HEIGHT
    ]
    leap, middle = max(leaps, default=(0.0, 0.0))
    return middle if leap > _LEAP else _SPACE * HEIGHT


def _borders(gaps: Sequence[tuple[int, int]], symbols: Sequence[Symbol]) -> dict[tuple[int, int], int]:
    """For each gap between two letters, the number of the one behind it."""
    found: dict[tuple[int, int], int] = {}
    for number, (before, symbol) in enumerate(itertools.pairwise(symbols), 1):
        near = [gap for gap in gaps if abs(gap[1] - symbol.left) <= _MATCH * HEIGHT and gap[0] > before.left]
        if near:
            found.setdefault(min(near, key=lambda gap: abs(gap[1] - symbol.left)), number)
    return found


def _steps(
    picture: Picture, symbols: Sequence[Symbol], borders: dict[tuple[int, int], int]
) -> dict[int, float]:
    """For each syllable behind another, how much longer than usual the step to its middle is."""
    gap_before = {number: gap for gap, number in borders.items()}
    lefts = [PAD] + [gap_before[n][1] if n in gap_before else s.left for n, s in enumerate(symbols) if n]
    rights = [gap_before[n][0] if n in gap_before else s.left for n, s in enumerate(symbols) if n]
    rights.append(picture.grey.shape[1] - PAD)
    middles = [(left + right) / 2 for left, right in zip(lefts, rights, strict=True)] if symbols else []
    steps = {
        number: middles[number] - middles[number - 1]
        for number in range(1, len(symbols))
        if _HANGUL.match(symbols[number].text) and _HANGUL.match(symbols[number - 1].text)
    }
    if len(steps) < _LEAST_STEPS:
        return {}
    usual = sorted(steps.values())[int(len(steps) * _STEP)]
    return {number: step / usual - 1 for number, step in steps.items()} if usual > 0 else {}
