"""Ruled tables: from the rules of a page to a grid of cells, and from the lines in these to a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ingest.documents import Cell, Heading, Table
from ingest.parsers.local.layout import (
    Box,
    Colour,
    Line,
    cluster,
    group_rows,
    is_column_name,
    is_section_name,
    join_wrapped,
    mean_confidence,
)
from ingest.parsers.local.segmentation import Mask, Rules, connected_components, dilated

_APART = 7  # pixels between the positions of two rules that are one: both edges of a rule 4 pixels thick
_OVERHANG = (
    25  # pixels that horizontals reach beyond the outermost vertical where the outer edge is not drawn
)
_COVERED = 0.5  # share of a border that has to be ruled for its two sides to be two cells
_LEAST = 12  # pixels: a row or column below this holds no text
_DENSE = 0.6  # share of a line of a thick component that is covered where it is a rule
_NEAR = 12  # pixels within which two edges of columns are one
_PADDING = 16  # pixels between a cell's border and its text, at most
_SAME_COLOUR = 8


@dataclass(frozen=True)
class GridCell:
    """A cell of a grid: its first row and column, how many it spans, and its box."""

    row: int
    column: int
    rows: int
    columns: int
    box: Box


@dataclass(frozen=True)
class Grid:
    """A table's cells in reading order."""

    box: Box
    cells: list[GridCell]


@dataclass(frozen=True)
class PlacedTable:
    """A table and where it stands; `above` is a heading that its frame took in."""

    box: Box
    table: Table
    above: Heading | None = None


def find_grids(rules: Rules) -> list[Grid]:
    """Finds what the rules enclose; a frame around one cell is a grid of one."""
    joined = connected_components(dilated(rules.both, 5))
    grids = []
    for number, box in joined.boxes():
        if box.width >= 2 * _LEAST and box.height >= _LEAST:
            window = (slice(box.top, box.bottom), slice(box.left, box.right))
            own = joined.pixels_of(number, box)
            grid = _grid(rules.horizontal[window] * own, rules.vertical[window] * own, box.left, box.top)
            if grid is not None:
                grids.append(grid)
    return grids


def _grid(horizontal: Mask, vertical: Mask, left: int, top: int) -> Grid | None:
    ys = _rule_positions(horizontal)
    xs = _rule_positions(np.asarray(vertical.T))
    if len(ys) < 2 or not xs:  # noqa: PLR2004 - a top and a bottom
        return None
    covered = np.flatnonzero(horizontal.any(axis=0))
    if covered.size and xs[0] - int(covered[0]) > _OVERHANG:
        xs.insert(0, int(covered[0]))
        vertical[ys[0] : ys[-1], max(0, xs[0]) : xs[0] + 2] = 255
    if covered.size and int(covered[-1]) - xs[-1] > _OVERHANG:
        xs.append(int(covered[-1]))
        vertical[ys[0] : ys[-1], xs[-1] - 1 : xs[-1] + 1] = 255
    if len(xs) < 2:  # noqa: PLR2004 - a left and a right edge
        return None

    def box(row: int, column: int, rows: int, columns: int) -> Box:
        return Box(left + xs[column], top + ys[row], left + xs[column + columns], top + ys[row + rows])

    cells = [GridCell(*cell, box(*cell)) for cell in _merge_cells(horizontal, vertical, xs, ys)]
    return Grid(box(0, 0, len(ys) - 1, len(xs) - 1), cells)


def _rule_positions(mask: Mask) -> list[int]:
    """Where horizontal rules lie: the middles of the components, clustered, without slivers."""
    middles: list[int] = []
    for _, box in connected_components(mask).boxes():
        if box.height <= 3 * _APART:
            middles.append(box.top + box.height // 2)
        else:
            # Slanted or touching rules in one component: take its densest rows.
            profile = (mask[box.top : box.bottom, box.left : box.right] > 0).sum(axis=1)
            middles += [box.top + int(row) for row in np.flatnonzero(profile > box.width * _DENSE)]
    positions: list[int] = []
    for position in cluster(middles, _APART):
        if not positions or position - positions[-1] >= _LEAST:
            positions.append(position)
    return positions


def _merge_cells(
    horizontal: Mask, vertical: Mask, xs: list[int], ys: list[int]
) -> list[tuple[int, int, int, int]]:
    """Cells as (row, column, rows, columns): neighbours with no rule between them are one."""
    height, width = len(ys) - 1, len(xs) - 1
    parent = list(range(height * width))

    def root(cell: int) -> int:
        while parent[cell] != cell:
            cell = parent[cell]
        return cell

    for row in range(height):
        for column in range(width):
            cell = row * width + column
            if column + 1 < width and not _is_ruled(vertical.T, xs[column + 1], ys[row], ys[row + 1]):
                parent[root(cell + 1)] = root(cell)
            if row + 1 < height and not _is_ruled(horizontal, ys[row + 1], xs[column], xs[column + 1]):
                parent[root(cell + width)] = root(cell)
    members: dict[int, list[int]] = {}
    for cell in range(height * width):
        members.setdefault(root(cell), []).append(cell)
    merged = []
    for cells in members.values():
        rows, columns = [cell // width for cell in cells], [cell % width for cell in cells]
        spans = max(rows) - min(rows) + 1, max(columns) - min(columns) + 1
        if spans[0] * spans[1] == len(cells):
            merged.append((min(rows), min(columns), *spans))
        else:  # not a rectangle: some rule was missed; the smallest cells lose nothing
            merged += [(row, column, 1, 1) for row, column in zip(rows, columns, strict=True)]
    return sorted(merged)


def _is_ruled(mask: Mask, at: int, start: int, end: int) -> bool:
    """Whether a rule covers the border at row `at` from column `start` to `end`."""
    inset = min(4, (end - start) // 4)
    part = mask[max(0, at - _APART) : at + _APART + 1, start + inset : end - inset].any(axis=0)
    return bool(part.size) and float(part.mean()) >= _COVERED


def is_table(grid: Grid, ink: Mask) -> bool:
    """Whether a grid is a table: two rows at least, one of which has two cells with something in them."""
    rows = {cell.row for cell in grid.cells}
    filled = Counter(
        cell.row
        for cell in grid.cells
        if ink[cell.box.top : cell.box.bottom, cell.box.left : cell.box.right].any()
    )
    return len(rows) > 1 and max(filled.values(), default=0) > 1


def split_at_labels(grid: Grid, texts: list[list[Line]]) -> tuple[Grid, list[list[Line]]]:
    """Splits cells in which a label and its value stand side by side: a pale edge between was missed."""
    cuts = _cuts(grid, texts)
    if not cuts:
        return grid, texts
    drawn = [x for cell in grid.cells for x in (cell.box.left, cell.box.right)]
    far = [x for xs in cuts.values() for x in xs if min(abs(x - edge) for edge in drawn) > _NEAR]
    edges = cluster([*drawn, *far], _NEAR)
    cells: list[GridCell] = []
    parts: list[list[Line]] = []
    for number, (cell, lines) in enumerate(zip(grid.cells, texts, strict=True)):
        for left, right in pairwise([cell.box.left, *cuts.get(number, []), cell.box.right]):
            first, last = (min(range(len(edges)), key=lambda n: abs(edges[n] - x)) for x in (left, right))
            box = Box(left, cell.box.top, right, cell.box.bottom)
            cells.append(GridCell(cell.row, first, cell.rows, max(1, last - first), box))
            parts.append([line for line in lines if left <= line.box.centre[0] < right])
    return Grid(grid.box, cells), parts


def _cuts(grid: Grid, texts: Sequence[Sequence[Line]]) -> dict[int, list[int]]:
    """For each cell to be split, by its number, where."""
    rows = {
        number: sorted(lines, key=lambda line: line.box.left)
        for number, lines in enumerate(texts)
        if len(lines) > 1 and len(group_rows(lines)) == 1 and any(is_column_name(line.text) for line in lines)
    }
    cuts = {
        number: [(line.box.right + after.box.left) // 2 for line, after in pairwise(row)]
        for number, row in rows.items()
    }
    # The labels of the first column differ in width; their column has one edge.
    first = [number for number in cuts if grid.cells[number].column == 0]
    edge = max((rows[number][0].box.right for number in first), default=0) + _NEAR
    for number in first:
        if edge < rows[number][1].box.left:
            cuts[number][0] = edge
    return cuts


def build_ruled_table(grid: Grid, texts: Sequence[Sequence[Line]]) -> PlacedTable | None:
    """Returns the table of a grid from the lines in each of its cells; None when it is none after all."""
    cells = list(zip(grid.cells, texts, strict=True))
    above = _heading_above(cells)
    if above is not None:
        cells = cells[1:]
    lines = [line for _, own in cells for line in own]
    if not lines:
        return None
    ground = Counter(line.ground for _, own in cells for line in own[:1]).most_common(1)[0][0]

    def is_header(cell: GridCell, own: Sequence[Line]) -> bool:
        at_edge = cell.row == 0 or cell.column == 0
        return (at_edge and not _are_alike(own[0].ground, ground)) or is_column_name(
            " ".join(line.text for line in own)
        )

    rows = table_rows(
        [
            (cell, Cell(text=cell_text(own, cell.box), header=bool(own) and is_header(cell, own)))
            for cell, own in cells
        ]
    )
    if len(rows) == 1:
        return None  # boxes side by side: the steps of a process
    return PlacedTable(grid.box, Table(rows=rows, confidence=mean_confidence(lines)), above)


def cell_text(lines: Sequence[Line], box: Box) -> str:
    """Returns the text of a cell: its lines joined where they were wrapped at the cell's edge."""
    if not lines:
        return ""
    left, right = min(line.box.left for line in lines), max(line.box.right for line in lines)
    # Text that begins far from the edge is centred; it may reach as near to the edge as its longest line.
    padding = min(left - box.left, box.right - right, _PADDING)
    return join_wrapped(lines, right=max(box.right - padding, right))


def table_rows(cells: Sequence[tuple[GridCell, Cell]]) -> list[list[Cell]]:
    """Returns cells, with their spans, by the row in which they begin; rows and columns in which no cell with
    text begins are left out."""
    rows = sorted({place.row for place, cell in cells if cell.text})
    columns = sorted({place.column for place, cell in cells if cell.text})
    by_row: dict[int, list[tuple[int, Cell]]] = {row: [] for row in rows}
    for place, cell in cells:
        own_rows = [row for row in rows if place.row <= row < place.row + place.rows]
        own_columns = [column for column in columns if place.column <= column < place.column + place.columns]
        if own_rows and own_columns:
            spans = {"rowspan": len(own_rows), "colspan": len(own_columns)}
            by_row[own_rows[0]].append((own_columns[0], cell.model_copy(update=spans)))
    return [[cell for _, cell in sorted(row, key=lambda item: item[0])] for row in by_row.values()]


def _heading_above(cells: Sequence[tuple[GridCell, Sequence[Line]]]) -> Heading | None:
    """The first row when it is one cell with one line on a ground of its own: a band over the table."""
    first, lines = cells[0]
    if len(lines) != 1 or any(cell.row == first.row for cell, _ in cells[1:]):
        return None
    below = [own[0].ground for _, own in cells[1:] if own]
    alike = sum(_are_alike(lines[0].ground, ground) for ground in below)
    if not below or (alike * 2 > len(below) and not is_section_name(lines[0].text)):
        return None
    return Heading(text=lines[0].text, level=2, confidence=lines[0].confidence)


def _are_alike(one: Colour, other: Colour) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _SAME_COLOUR
