"""Lines and tables of a page in reading order: headings, paragraphs, lists, columns, open tables."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence

from ingest.documents import Block, Heading, Paragraph
from ingest.parsers.local.heads import is_head, is_section
from ingest.parsers.local.open_tables import find_open_tables
from ingest.parsers.local.rules import Rules
from ingest.parsers.local.tables import Placed
from ingest.parsers.local.text import Line, confidence_of, flowed, rows_of_lines

_LARGE, _TITLE = 1.18, 1.7
"""Times the usual height of a line: from the first it is a heading, from the second a title."""
_APART = 1.6
"""Line heights of a gap that ends a paragraph."""


def arranged(lines: Sequence[Line], tables: Sequence[Placed], rules: Rules) -> list[Block]:
    """Puts the blocks of a page in order."""
    open_tables, rest = find_open_tables(lines, rules)
    pieces: list[tuple[int, list[Block]]] = [
        (placed.box.top, [block for block in (placed.above, placed.table) if block is not None])
        for placed in [*tables, *open_tables]
    ]
    ends = sorted(placed.box.top for placed in [*tables, *open_tables])
    for stretch in _stretches(rest, ends):
        for column in _columns(stretch):
            pieces.append((min(line.box.top for line in stretch), list(_blocks(column, lines))))
    return [block for _, blocks in sorted(pieces, key=lambda piece: piece[0]) for block in blocks]


def _stretches(lines: Sequence[Line], ends: Sequence[int]) -> Iterator[list[Line]]:
    """Lines between one table and the next, cut further where the number of columns changes."""
    bounds = [*ends, 1 << 30]
    number = 0
    stretch: list[Line] = []
    many = False
    for row in rows_of_lines(lines):
        while row[0].box.top >= bounds[number]:
            if stretch:
                yield stretch
            stretch, number = [], number + 1
        if stretch and (len(row) > 1) != many and not (many and _continues(row, stretch)):
            yield stretch
            stretch = []
        many = len(row) > 1 or (many and bool(stretch))
        stretch += row
    if stretch:
        yield stretch


def _continues(row: Sequence[Line], stretch: Sequence[Line]) -> bool:
    """Whether a row with one line goes on with a column of those above."""
    line = row[0]
    left = min(other.box.left for other in stretch)
    bottom = max(other.box.bottom for other in stretch)
    second = min((o.box.left for o in stretch if o.box.left > left + 5 * o.box.height), default=0)
    near = line.box.top - bottom < _APART * line.box.height
    return (
        near
        and not _looks_like_heading(line, stretch)
        and (line.box.left >= second - 2 or line.box.right <= second)
    )


def _columns(stretch: Sequence[Line]) -> list[list[Line]]:
    """A stretch by its columns; boxes side by side with no lines below each other are one row."""
    rows = rows_of_lines(stretch)
    if len(rows) < 2 or all(len(row) == 1 for row in rows):  # noqa: PLR2004
        return [[line for row in rows for line in row]]
    spans = sorted((line.box.left, line.box.right) for line in stretch)
    edges, reach = [], spans[0][1]
    for left, right in spans[1:]:
        if left > reach + 4:
            edges.append((left + reach) // 2)
        reach = max(reach, right)
    columns: list[list[Line]] = [[] for _ in range(len(edges) + 1)]
    for row in rows:
        for line in row:
            columns[sum(line.box.left > edge for edge in edges)].append(line)
    return [column for column in columns if column]


def _blocks(lines: Sequence[Line], page: Sequence[Line]) -> Iterator[Block]:
    """Headings and paragraphs of one column."""
    paragraph: list[Line] = []
    for line in lines:
        heading = _looks_like_heading(line, page)
        gap = line.box.top - paragraph[-1].box.bottom if paragraph else 0
        if paragraph and (heading or gap > _APART * paragraph[-1].box.height):
            yield _paragraph(paragraph, page)
            paragraph = []
        if heading:
            yield Heading(text=line.text, level=_level(line, page), confidence=line.confidence)
        else:
            paragraph.append(line)
    if paragraph:
        yield _paragraph(paragraph, page)


def _paragraph(lines: Sequence[Line], page: Sequence[Line]) -> Paragraph:
    # Boxes in a row, such as the steps of a process, are items of their own.
    if all(a.box.top < b.box.bottom and b.box.top < a.box.bottom for a, b in itertools.pairwise(lines)):
        text = "\n".join(f"- {line.text}" if line.bulleted else line.text for line in lines)
    else:
        text = flowed(lines, max(line.box.right for line in page))
    return Paragraph(text=text, confidence=confidence_of(lines))


def _usual_height(page: Sequence[Line]) -> float:
    return statistics.median(line.box.height for line in page)


def _looks_like_heading(line: Line, page: Sequence[Line]) -> bool:
    if line.bulleted or len(line.text) > 60 or line.text.endswith((".", ",")):  # noqa: PLR2004
        return False
    if is_section(line.text) or is_head(line.text):
        return True
    return line.box.height >= _LARGE * _usual_height(page)


def _level(line: Line, page: Sequence[Line]) -> int:
    usual = _usual_height(page)
    if line.box.height >= _TITLE * usual:
        return 1
    return 2 if line.box.height >= _LARGE * usual else 3
