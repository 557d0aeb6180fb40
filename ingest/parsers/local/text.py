"""Lines as read, and how they become running text again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.parsers.local.geometry import Box

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a line of text: where it stands, what it says, what it looks like."""

    box: Box
    text: str
    confidence: float
    """From 0 to 1."""
    bulleted: bool
    ink: Colour
    ground: Colour


def flowed(lines: Sequence[Line], right: int | None = None) -> str:
    """Joins lines that were wrapped; what begins anew keeps its own line, behind `- ` in a list.

    A line is the continuation of the one before when its first word had no room there. `right` is the
    edge that text may reach; unset: the rightmost of these lines reaches it. In a list, what begins
    with no bullet continues the item.
    """
    if not lines:
        return ""
    edge = right if right is not None else max(line.box.right for line in lines)
    start = min(line.box.left for line in lines)
    room = edge - start
    listed = sum(line.bulleted for line in lines) > 0
    texts: list[str] = []
    for before, line in zip([None, *lines], lines, strict=False):
        goes_on = before is not None and not line.bulleted
        if goes_on and before is not None:
            new_block = line.box.top - before.box.bottom > 1.5 * max(before.box.height, line.box.height)
            goes_on = not new_block and (
                _hangs(before, line, lines) if listed else _wrapped(before, line, room)
            )
        if goes_on and texts:
            texts[-1] = f"{texts[-1]} {line.text}"
        else:
            texts.append(f"- {line.text}" if line.bulleted else line.text)
    return "\n".join(texts)


def _wrapped(before: Line, line: Line, room: int) -> bool:
    """Whether the first word of `line` had no room at the end of `before`."""
    words = line.text.split()
    if not words or not line.text:
        return False
    word = line.box.width * (len(words[0]) + 0.5) / len(line.text)
    return before.box.width + word > room


def _hangs(before: Line, line: Line, lines: Sequence[Line]) -> bool:
    """Whether a line without a bullet belongs to the item above: it is not further left than the bullets."""
    bullets = [other.box.left for other in lines if other.bulleted]
    return line.box.left > min(bullets) - 2 and (before.bulleted or line.box.left >= before.box.left - 3)


def confidence_of(lines: Iterable[Line]) -> float | None:
    """Mean over lines, weighted by their length; None when there is no text."""
    every = [(line.confidence, len(line.text)) for line in lines]
    weight = sum(length for _, length in every)
    return sum(confidence * length for confidence, length in every) / weight if weight else None


def rows_of_lines(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that stand side by side, rows from top to bottom, each from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda one: one.box.top + one.box.bottom):
        middle = line.box.centre[1]
        if rows and any(o.box.top <= middle < o.box.bottom for o in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.box.left) for row in rows]
