"""Tables as blocks, from cells that the rules of a page enclose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.documents import Cell, Heading, Table
from ingest.parsers.local.geometry import Box, clustered
from ingest.parsers.local.grid import Grid, Place
from ingest.parsers.local.heads import is_head, is_section
from ingest.parsers.local.marks import Mask
from ingest.parsers.local.text import Colour, Line, confidence_of, flowed, rows_of_lines

_NEAR = 12
"""Pixels within which two edges of columns are one."""
_PADDING = 16
"""Pixels between a cell's border and its text, at most."""


@dataclass(frozen=True)
class Placed:
    """A table and where it stands; `above` is a heading that its frame took in."""

    box: Box
    table: Table
    above: Heading | None = None


def is_table(grid: Grid, ink: Mask) -> bool:
    """Whether a grid is a table: two rows at least, one of which has two cells with something in them."""
    rows = {place.row for place in grid.places}
    filled = Counter(
        place.row
        for place in grid.places
        if ink[place.box.top : place.box.bottom, place.box.left : place.box.right].any()
    )
    return len(rows) > 1 and max(filled.values(), default=0) > 1


def ruled_table(grid: Grid, texts: Sequence[Sequence[Line]]) -> Placed | None:
    """Makes the table of a grid from the lines in each of its places; None when it is none after all."""
    cells = list(zip(grid.places, texts, strict=True))
    above = _heading_above(cells)
    if above is not None:
        cells = cells[1:]
    lines = [line for _, own in cells for line in own]
    if not lines:
        return None
    ground = Counter(line.ground for _, own in cells for line in own[:1]).most_common(1)[0][0]
    made = [
        (place, Cell(text=cell_text(own, place.box), rowspan=place.rows, colspan=place.columns,
                     header=bool(own) and _is_header(place, own, ground)))
        for place, own in cells
    ]  # fmt: skip
    rows = rows_of(made)
    if len(rows) == 1:
        return None  # boxes side by side: the steps of a process
    return Placed(grid.box, Table(rows=rows, confidence=confidence_of(lines)), above)


def split_at_labels(grid: Grid, texts: list[list[Line]]) -> tuple[Grid, list[list[Line]]]:
    """Parts cells in which a label and its value stand side by side: a pale edge between was missed."""
    cuts = _cuts(grid, texts)
    if not cuts:
        return grid, texts
    drawn = [x for place in grid.places for x in (place.box.left, place.box.right)]
    far = [x for xs in cuts.values() for x in xs if min(abs(x - edge) for edge in drawn) > _NEAR]
    edges = clustered([*drawn, *far], _NEAR)
    places: list[Place] = []
    parts: list[list[Line]] = []
    for number, (place, lines) in enumerate(zip(grid.places, texts, strict=True)):
        box = place.box
        for left, right in pairwise([box.left, *cuts.get(number, []), box.right]):
            first, last = (min(range(len(edges)), key=lambda n: abs(edges[n] - x)) for x in (left, right))
            area = Box(left, box.top, right, box.bottom)
            places.append(Place(place.row, first, place.rows, max(1, last - first), area))
            parts.append([line for line in lines if left <= line.box.centre[0] < right])
    return Grid(grid.box, places), parts


def _cuts(grid: Grid, texts: Sequence[Sequence[Line]]) -> dict[int, list[int]]:
    """For each cell to be parted, by its number, where."""
    rows = {
        number: sorted(lines, key=lambda line: line.box.left)
        for number, lines in enumerate(texts)
        if len(lines) > 1 and len(rows_of_lines(lines)) == 1 and any(is_head(line.text) for line in lines)
    }
    cuts = {
        number: [(a.box.right + b.box.left) // 2 for a, b in pairwise(row)] for number, row in rows.items()
    }
    # The labels of the first column differ in width; their column has one edge.
    first = [number for number in cuts if grid.places[number].column == 0]
    edge = max((rows[number][0].box.right for number in first), default=0) + _NEAR
    for number in first:
        if edge < rows[number][1].box.left:
            cuts[number][0] = edge
    return cuts


def cell_text(lines: Sequence[Line], box: Box) -> str:
    """The text of a cell: its lines run on where they were wrapped at the cell's edge."""
    if not lines:
        return ""
    left, right = min(line.box.left for line in lines), max(line.box.right for line in lines)
    # Text that begins far from the edge is centred; it may reach as near to the edge as its longest line.
    padding = min(left - box.left, box.right - right, _PADDING)
    return flowed(lines, right=max(box.right - padding, right))


def rows_of(cells: Sequence[tuple[Place, Cell]]) -> list[list[Cell]]:
    """Cells by the row in which they begin, rows and columns without any text left out."""
    kept_rows = _kept([(p.row, p.rows, c) for p, c in cells])
    kept_columns = _kept([(p.column, p.columns, c) for p, c in cells])
    rows: dict[int, list[tuple[int, Cell]]] = {row: [] for row in kept_rows}
    for place, cell in cells:
        down = [row for row in kept_rows if place.row <= row < place.row + place.rows]
        right = [column for column in kept_columns if place.column <= column < place.column + place.columns]
        if down and right:
            spanning = cell.model_copy(update={"rowspan": len(down), "colspan": len(right)})
            rows[down[0]].append((right[0], spanning))
    return [[cell for _, cell in sorted(row, key=lambda item: item[0])] for row in rows.values()]


def _kept(spans: Sequence[tuple[int, int, Cell]]) -> list[int]:
    """The rows (or columns) in which some cell with text begins."""
    return sorted({start for start, _, cell in spans if cell.text})


def _is_header(place: Place, lines: Sequence[Line], ground: Colour) -> bool:
    at_edge = place.row == 0 or place.column == 0
    return (at_edge and not _like(lines[0].ground, ground)) or is_head(" ".join(line.text for line in lines))


def _heading_above(cells: Sequence[tuple[Place, Sequence[Line]]]) -> Heading | None:
    """The first row when it is one cell with one line on a ground of its own: a band over the table."""
    first, lines = cells[0]
    if len(lines) != 1 or any(place.row == first.row for place, _ in cells[1:]):
        return None
    below = [own[0].ground for _, own in cells[1:] if own]
    same = sum(_like(lines[0].ground, ground) for ground in below)
    if not below or (same * 2 > len(below) and not is_section(lines[0].text)):
        return None
    return Heading(text=lines[0].text, level=2, confidence=lines[0].confidence)


def _like(one: Colour, other: Colour) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 8  # noqa: PLR2004
