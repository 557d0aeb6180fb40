"""Tables whose cells no rules enclose: known heads side by side, and what stands below them in columns.

Columns are parted by the widest empty strip between two heads. Rows are parted by rules or edges of
fills where there are any, else by the gaps between lines that are wider than those inside a cell.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.documents import Cell, Table
from ingest.parsers.local.geometry import Box, around, clustered
from ingest.parsers.local.grid import Place
from ingest.parsers.local.heads import is_head, is_section
from ingest.parsers.local.label_tables import find_label_table
from ingest.parsers.local.rules import Rules
from ingest.parsers.local.tables import Placed, cell_text, rows_of
from ingest.parsers.local.text import Line, confidence_of, rows_of_lines

_LEAST_COLUMNS = 3
"""Two heads side by side stand over two columns of text as often as over a table."""
_MOSTLY = 0.6
"""Share of the heads in a row that have to be known ones."""
_LARGE = 1.18
"""Times the height of a table's text: such a line is a heading behind the table."""
_FAR = 4.5
"""Line heights: what stands further below is no part of the table."""
_RULED = 0.45
"""Share of a table's width that a rule between two of its rows covers."""
_WIDE = 1.5
"""Times the gap between lines of a cell: a gap between rows."""


@dataclass(frozen=True)
class _Head:
    """A head and its place in the rows of heads."""

    line: Line
    row: int
    rows: int
    column: int
    columns: int


def find_open_tables(lines: Sequence[Line], rules: Rules) -> tuple[list[Placed], list[Line]]:
    """Finds the open tables among lines; returns them and the lines that belong to none."""
    rest = list(lines)
    tables: list[Placed] = []
    tried: list[Line] = []
    while (heads := _head_lines(rest, tried)) is not None:
        tried += heads
        body = _body(heads, [line for line in rest if line not in heads])
        if body:
            tables.append(_table(_placed_heads(heads), body, rules))
            rest = [line for line in rest if line not in heads and line not in body]
    while (found := find_label_table(rest, rules)) is not None:
        placed, used = found
        tables.append(placed)
        rest = [line for line in rest if line not in used]
    return tables, rest


def _head_lines(lines: Sequence[Line], tried: Sequence[Line]) -> list[Line] | None:
    """The heads of the first table: a row of three with two known ones, and heads close above and below."""
    rows = rows_of_lines(lines)
    for number, row in enumerate(rows):
        if len(row) < _LEAST_COLUMNS or any(line in tried for line in row):
            continue
        known = sum(is_head(line.text) for line in row)
        # Half of a row of labels and values are heads, too.
        if known < 2 or known < _MOSTLY * len(row) or any(line.bulleted for line in row):  # noqa: PLR2004
            continue
        heads = list(row)
        height = statistics.median(line.box.height for line in row)
        for other in [*rows[max(0, number - 1) : number], *rows[number + 1 : number + 2]]:
            near = min(abs(other[0].box.centre[1] - row[0].box.centre[1]), 9e9) <= 2.5 * height
            if near and all(is_head(line.text) for line in other):
                heads += other
        return heads
    return None


def _placed_heads(heads: Sequence[Line]) -> list[_Head]:
    """Heads as cells: in one row, or in two where some stand over others."""
    levels = rows_of_lines(heads)
    if len(levels) == 1:
        return [_Head(line, 0, 1, column, 1) for column, line in enumerate(levels[0])]
    parents, leaves = levels[0], levels[-1]
    spanning = [line for level in levels[1:-1] for line in level]
    order = sorted([*spanning, *leaves], key=lambda line: line.box.centre[0])
    placed = [_Head(line, 0, 2, order.index(line), 1) for line in spanning]
    placed += [_Head(line, 1, 1, order.index(line), 1) for line in leaves]
    for parent in parents:
        nearest = [
            order.index(leaf)
            for leaf in leaves
            if min(parents, key=lambda p: abs(p.box.centre[0] - leaf.box.centre[0])) is parent
        ]
        if nearest:
            placed.append(_Head(parent, 0, 1, min(nearest), max(nearest) - min(nearest) + 1))
    return placed


def _body(heads: Sequence[Line], lines: Sequence[Line]) -> list[Line]:
    """The lines below the heads as far as the table goes."""
    leaves = [head.line for head in _placed_heads(heads) if head.columns == 1]
    centres = sorted(leaf.box.centre[0] for leaf in leaves)
    bottom = max(head.box.bottom for head in heads)
    body: list[Line] = []
    for row in rows_of_lines([line for line in lines if line.box.centre[1] > bottom]):
        usual = statistics.median([line.box.height for line in body or row])
        far = min(line.box.top for line in row) - bottom > _FAR * usual
        if far or any(_ends(line, centres, usual) for line in row):
            break
        body += row
        bottom = max(line.box.bottom for line in body)
    return body


def _ends(line: Line, centres: Sequence[float], usual: float) -> bool:
    """Whether a line stands behind the table: a heading, or one that runs across columns."""
    across = sum(line.box.left < centre < line.box.right for centre in centres) > 1
    return across or is_section(line.text) or line.box.height > _LARGE * usual + 2


def _table(heads: Sequence[_Head], body: Sequence[Line], rules: Rules) -> Placed:
    lines = [head.line for head in heads] + list(body)
    box = around(line.box for line in lines)
    xs = _column_edges(heads, lines, box)
    deep = max(head.row + head.rows for head in heads)
    top = max(head.line.box.bottom for head in heads)
    borders, ruled = row_borders(body, Box(box.left, top, box.right, box.bottom), rules, xs)
    ys = [top, *borders, box.bottom + 1]
    cells: list[tuple[Place, Cell]] = []
    for head in heads:
        place = Place(head.row, head.column, head.rows, head.columns, head.line.box)
        cells.append((place, Cell(text=head.line.text, header=True)))
    for column, (left, right) in enumerate(itertools.pairwise(xs)):
        own = [line for line in body if left <= line.box.centre[0] < right]
        joined = [_is_joined(own, y, (left, right), ys, rules, ruled=ruled) for y in borders]
        row = 0
        while row < len(ys) - 1:
            end = row + 1
            while end < len(ys) - 1 and joined[end - 1]:
                end += 1
            area = Box(left, ys[row], right, ys[end])
            inside = [line for line in own if area.top <= line.box.centre[1] < area.bottom]
            place = Place(deep + row, column, end - row, 1, area)
            cells.append((place, Cell(text=cell_text(inside, area))))
            row = end
    return Placed(box, Table(rows=rows_of(cells), confidence=confidence_of(lines)))


def _column_edges(heads: Sequence[_Head], lines: Sequence[Line], box: Box) -> list[int]:
    leaves = sorted((h for h in heads if h.columns == 1), key=lambda head: head.column)
    parents = [head.line for head in heads if head.columns > 1]
    spans = [(line.box.left, line.box.right) for line in lines if line not in parents]
    edges = [box.left]
    for one, other in itertools.pairwise(leaves):
        edges.append(_widest_gap(spans, one.line.box.centre[0], other.line.box.centre[0]))
    return [*edges, box.right + 1]


def _widest_gap(spans: Sequence[tuple[int, int]], start: float, end: float) -> int:
    """The middle of the widest stretch from start to end that no span covers."""
    inner = sorted((a, b) for a, b in spans if b > start and a < end)
    best, reach = (0.0, (start + end) / 2), start
    for a, b in [*inner, (end, end)]:
        if a - reach > best[0]:
            best = (a - reach, (a + reach) / 2)
        reach = max(reach, b)
    return round(best[1])


def row_borders(body: Sequence[Line], box: Box, rules: Rules, xs: Sequence[int]) -> tuple[list[int], bool]:
    """Where one row ends and the next begins, and whether rules say so."""
    inside = rules.horizontal[box.top : box.bottom, box.left : box.right]
    covered = (inside > 0).mean(axis=1) if inside.size else []
    drawn = clustered([box.top + int(y) for y, share in enumerate(covered) if share > _RULED], 6)
    first, last = min(line.box.top for line in body), max(line.box.bottom for line in body)
    drawn = [y for y in drawn if first < y < last]
    if drawn:
        return drawn, True
    # A column that says the same for all rows has few lines, and they stand where rows meet.
    columns = [
        [line for line in body if left <= line.box.centre[0] < right]
        for left, right in itertools.pairwise(xs)
    ]
    most = max(map(len, columns))
    main = [line for column in columns if len(column) * 4 > most for line in column] or list(body)
    spans = sorted((line.box.top, line.box.bottom) for line in main)
    gaps: list[tuple[int, int]] = []
    reach = spans[0][1]
    for top, bottom in spans[1:]:
        if top > reach:
            gaps.append((reach, top))
        reach = max(reach, bottom)
    if not gaps:
        return [], False
    usual = _line_gap(columns)
    return [(a + b) // 2 for a, b in gaps if b - a > max(_WIDE * usual, usual + 4)], False


def _line_gap(columns: Sequence[Sequence[Line]]) -> float:
    """Pixels between the lines of a cell: the usual distance within columns."""
    gaps = [
        below.box.top - above.box.bottom
        for column in columns
        for above, below in itertools.pairwise(column)
        if below.box.top >= above.box.bottom
    ]
    return float(statistics.median_low(gaps)) if gaps else 9e9


def _is_joined(
    own: Sequence[Line],
    border: int,
    sides: tuple[int, int],
    ys: Sequence[int],
    rules: Rules,
    *,
    ruled: bool,
) -> bool:
    """Whether a column's cell goes on across the border between two rows."""
    if any(line.box.top < border < line.box.bottom for line in own):
        return True
    if ruled:
        left, right = sides
        strip = rules.horizontal[max(0, border - 4) : border + 5, left + 4 : max(left + 5, right - 4)]
        return float((strip > 0).any(axis=0).mean()) < 0.3  # noqa: PLR2004 - no rule under this column
    if not own:
        return False
    # Lines of one cell around the middle of all rows, and nothing else in the column.
    middle, height = (ys[0] + ys[-1]) / 2, ys[-1] - ys[0]
    block = around(line.box for line in own)
    return abs(block.centre[1] - middle) < 0.12 * height and block.height < 0.35 * height
