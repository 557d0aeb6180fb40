"""Open tables with labels on the left and what they stand for on the right, without rules around them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ingest.documents import Cell, Table
from ingest.parsers.local.geometry import Box, around
from ingest.parsers.local.grid import Place
from ingest.parsers.local.heads import is_head
from ingest.parsers.local.rules import Rules
from ingest.parsers.local.tables import Placed, cell_text, rows_of
from ingest.parsers.local.text import Line, confidence_of, rows_of_lines

_LEAST_LABELS = 2
_ALIGNED = 0.8
"""Line heights by which the left edges or the middles of labels differ."""
_CLOSE = 1.3
"""Line heights between lines of one cell, at most."""


def find_label_table(lines: Sequence[Line], rules: Rules) -> tuple[Placed, list[Line]] | None:
    """Finds the first such table; returns it and its lines."""
    for labels in _label_columns(lines):
        edge = max(label.box.right for label in labels)
        values = [line for line in lines if line.box.left > edge and line not in labels]
        rows = _rows(labels, values)
        if sum(bool(row) for row in rows) >= _LEAST_LABELS and not any(_is_over_a_list(row) for row in rows):
            used = labels + [line for row in rows for line in row]
            return Placed(around(line.box for line in used), _table(labels, rows)), used
    return None


def _label_columns(lines: Sequence[Line]) -> list[list[Line]]:
    """Known labels below each other with nothing to their left."""
    rows = rows_of_lines(lines)
    first = [row[0] for row in rows if is_head(row[0].text) and not row[0].bulleted and len(row) > 1]
    first += [row[0] for row in rows if is_head(row[0].text) and not row[0].bulleted and len(row) == 1]
    columns: list[list[Line]] = []
    for line in sorted(first, key=lambda one: one.box.top):
        for column in columns:
            last = column[-1]
            limit = _ALIGNED * last.box.height
            aligned = (
                abs(last.box.centre[0] - line.box.centre[0]) <= limit
                or abs(last.box.left - line.box.left) <= 4  # noqa: PLR2004
            )
            between = [
                other
                for other in lines
                if last.box.bottom <= other.box.centre[1] <= line.box.top and other.box.left < last.box.right
            ]
            if aligned and not between:
                column.append(line)
                break
        else:
            columns.append([line])
    return [column for column in columns if len(column) >= _LEAST_LABELS]


def _rows(labels: Sequence[Line], values: Sequence[Line]) -> list[list[Line]]:
    """The values of each label."""
    borders = [_border(one, other, values) for one, other in itertools.pairwise(labels)]
    first, last = labels[0].box.centre[1], labels[-1].box.centre[1]
    # A label stands in the middle of its row, so the row ends as far below it as it begins above.
    top = first - (borders[0] - first) - 2
    bottom = last + (last - borders[-1]) + 2
    edges = [top, *borders, bottom]
    rows = []
    for number, label in enumerate(labels):
        own = [v for v in values if edges[number] <= v.box.centre[1] < edges[number + 1]]
        rows.append(_contiguous(own, label))
    return rows


def _border(one: Line, other: Line, values: Sequence[Line]) -> float:
    """The middle of the widest empty stretch between two labels."""
    start, end = one.box.centre[1], other.box.centre[1]
    spans = sorted((v.box.top, v.box.bottom) for v in values if v.box.bottom > start and v.box.top < end)
    best, reach = (0.0, (start + end) / 2), start
    for a, b in [*spans, (end, end)]:
        if a - reach > best[0]:
            best = (a - reach, (a + reach) / 2)
        reach = max(reach, b)
    return best[1]


def _contiguous(values: Sequence[Line], label: Line) -> list[Line]:
    """The values around a label, as far as they stand close to each other."""
    rows = rows_of_lines(values)
    if not rows:
        return []
    start = min(range(len(rows)), key=lambda n: abs(rows[n][0].box.centre[1] - label.box.centre[1]))
    low = high = start
    while low and _near(rows[low - 1], rows[low]):
        low -= 1
    while high + 1 < len(rows) and _near(rows[high], rows[high + 1]):
        high += 1
    return [line for row in rows[low : high + 1] for line in row]


def _near(above: Sequence[Line], below: Sequence[Line]) -> bool:
    gap = min(line.box.top for line in below) - max(line.box.bottom for line in above)
    return gap <= _CLOSE * max(line.box.height for line in above)


def _is_over_a_list(row: Sequence[Line]) -> bool:
    """Whether the "value" is a head over a list of its own: two columns of text, no table."""
    lines = rows_of_lines(row)
    return bool(lines) and len(lines[0]) == 1 and is_head(lines[0][0].text)


def _table(labels: Sequence[Line], rows: Sequence[Sequence[Line]]) -> Table:
    split = [_split(row) for row in rows]
    columns = max(1 + max(map(len, split)), 2)
    box = around([line.box for line in labels] + [line.box for row in rows for line in row])
    cells: list[tuple[Place, Cell]] = []
    for number, (label, parts) in enumerate(zip(labels, split, strict=True)):
        cells.append((Place(number, 0, 1, 1, label.box), Cell(text=label.text, header=True)))
        for column, part in enumerate(parts, 1):
            last = column == len(parts)
            wide = columns - column if last else 1
            area = Box(part[0].box.left, box.top, box.right if last else part[-1].box.right, box.bottom)
            text = cell_text(part, area)
            header = len(part) == 1 and is_head(part[0].text)
            cells.append((Place(number, column, 1, wide, area), Cell(text=text, header=header)))
    return Table(rows=rows_of(cells), confidence=confidence_of([*labels, *(v for row in rows for v in row)]))


def _split(row: Sequence[Line]) -> list[list[Line]]:
    """A row's cells: one, or as many as stand side by side where one of them is a label, too."""
    lines = rows_of_lines(row)
    if len(lines) == 1 and any(is_head(line.text) for line in lines[0]):
        return [[line] for line in lines[0]]
    return [list(row)] if row else []
