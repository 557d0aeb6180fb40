"""Boxes on a page and the lines of text in them: how lines stand together, and what posters call the columns
of a table, the labels of its rows and its sections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from rapidfuzz.distance import Levenshtein

from ingest.blocks import weighted_mean

WORDS: dict[str, list[str]] = {
    name: words.split()
    for name, words in yaml.safe_load((Path(__file__).parent / "words.yaml").read_text("utf-8")).items()
}
"""The lists of `words.yaml`."""
_NO_LETTER = re.compile(r"[^0-9a-z가-힣]")
_LONGEST_NAME = 24
_SHORTEST_WITH_ERROR = 4  # letters from which one misread letter is forgiven

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: left and top belong to it, right and bottom do not."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def shrunk(self, margin: int) -> Box:
        """The box without a margin on every side."""
        return Box(self.left + margin, self.top + margin, self.right - margin, self.bottom - margin)


@dataclass(frozen=True, slots=True)
class Line:
    """A recognised piece of a line of text; confidence from 0 to 1, colours of the letters and of the
    ground they stand on."""

    box: Box
    text: str
    confidence: float
    bulleted: bool
    ink: Colour
    ground: Colour


def bounding_box(boxes: Iterable[Box]) -> Box:
    """Returns the smallest box that holds all of them."""
    every = list(boxes)
    return Box(
        min(box.left for box in every),
        min(box.top for box in every),
        max(box.right for box in every),
        max(box.bottom for box in every),
    )


def cluster(values: Iterable[int], apart: int) -> list[int]:
    """Returns the means of the groups of values whose neighbours are at most `apart` from each other."""
    groups: list[list[int]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= apart:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [round(sum(group) / len(group)) for group in groups]


def group_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Groups lines that stand side by side: rows from top to bottom, each from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box.top + line.box.bottom):
        middle = line.box.centre[1]
        if rows and any(other.box.top <= middle < other.box.bottom for other in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box.left) for row in rows]


def mean_confidence(lines: Iterable[Line]) -> float | None:
    """Returns the mean over lines, weighted by their length; None when there is no text."""
    return weighted_mean((line.confidence, len(line.text)) for line in lines)


def join_wrapped(lines: Sequence[Line], right: int | None = None) -> str:
    """Joins lines that were wrapped; what begins anew keeps its own line, behind `- ` in a list.

    A line continues the one before when its first word had no room there. `right` is the edge that text
    may reach; unset: the rightmost of these lines reaches it. In a list, a line without a bullet
    continues the item.
    """
    if not lines:
        return ""
    edge = right if right is not None else max(line.box.right for line in lines)
    room = edge - min(line.box.left for line in lines)
    is_list = any(line.bulleted for line in lines)
    texts: list[str] = []
    before: Line | None = None
    for line in lines:
        continues = before is not None and not line.bulleted
        if before is not None and continues:
            gap = line.box.top - before.box.bottom
            continues = gap <= 1.5 * max(before.box.height, line.box.height) and (
                _continues_item(before, line, lines) if is_list else _was_wrapped(before, line, room)
            )
        if continues:
            texts[-1] = f"{texts[-1]} {line.text}"
        else:
            texts.append(f"- {line.text}" if line.bulleted else line.text)
        before = line
    return "\n".join(texts)


def _was_wrapped(before: Line, line: Line, room: int) -> bool:
    """Whether the first word of `line` had no room at the end of `before`."""
    words = line.text.split()
    if not words:
        return False
    word = line.box.width * (len(words[0]) + 0.5) / len(line.text)
    return before.box.width + word > room


def _continues_item(before: Line, line: Line, lines: Sequence[Line]) -> bool:
    """Whether a line without a bullet belongs to the item above: it is not further left than the bullets."""
    bullets = min(other.box.left for other in lines if other.bulleted)
    return line.box.left > bullets - 2 and (before.bulleted or line.box.left >= before.box.left - 3)


def is_column_name(text: str) -> bool:
    """Whether a text is what posters call a column of a table or one of its rows."""
    return _is_among(text, WORDS["columns"])


def is_section_name(text: str) -> bool:
    """Whether a text is what posters call a section that is no column of their table."""
    return _is_among(text, WORDS["sections"])


def _is_among(text: str, names: list[str]) -> bool:
    bare = _NO_LETTER.sub("", text.lower()).lstrip("0123456789")
    if not bare or len(bare) > _LONGEST_NAME:
        return False
    if bare in names:
        return True
    return len(bare) >= _SHORTEST_WITH_ERROR and any(
        abs(len(name) - len(bare)) <= 1 and Levenshtein.distance(bare, name, score_cutoff=1) <= 1
        for name in names
        if len(name) >= _SHORTEST_WITH_ERROR
    )
