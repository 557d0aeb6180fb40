"""Ruled tables: from rules to cells that span rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ingest.parsers.local.geometry import Box, clustered
from ingest.parsers.local.marks import Mask, grown, marks_of
from ingest.parsers.local.rules import Rules

_APART = 7
"""Pixels between the positions of two rules that are one: both edges of a rule 4 pixels thick."""
_OVERHANG = 25
"""Pixels that horizontals reach beyond the outermost vertical where a table's outer edge is not drawn."""
_COVERED = 0.5
"""Share of a border that has to be ruled for its two sides to be two cells."""
_LEAST = 12
"""Pixels: a row or column below this holds no text."""


@dataclass(frozen=True)
class Place:
    """Where a cell stands in its table: first row and column, and how many it spans."""

    row: int
    column: int
    rows: int
    columns: int
    box: Box


@dataclass(frozen=True)
class Grid:
    """A table's cells in reading order."""

    box: Box
    places: list[Place] = field(default_factory=list)


def find_grids(rules: Rules) -> list[Grid]:
    """Finds what the rules enclose; a frame around one cell is a grid of one."""
    joined = marks_of(grown(rules.both, 5))
    grids = []
    for number in joined.numbers:
        left, top, wide, tall = (int(value) for value in joined.stats[number][:4])
        if wide < 2 * _LEAST or tall < _LEAST:
            continue
        window = (slice(top, top + tall), slice(left, left + wide))
        own = joined.labels[window] == number
        grid = _grid(rules.horizontal[window] * own, rules.vertical[window] * own, left, top)
        if grid is not None:
            grids.append(grid)
    return grids


def _grid(horizontal: Mask, vertical: Mask, left: int, top: int) -> Grid | None:
    ys = _positions(horizontal, 1)
    xs = _positions(vertical, 0)
    if len(ys) < 2 or not xs:  # noqa: PLR2004 - a top and a bottom
        return None
    columns = np.flatnonzero(horizontal.any(axis=0))
    if columns.size and xs[0] - int(columns[0]) > _OVERHANG:
        xs.insert(0, int(columns[0]))
        vertical[ys[0] : ys[-1], max(0, xs[0]) : xs[0] + 2] = 255
    if columns.size and int(columns[-1]) - xs[-1] > _OVERHANG:
        xs.append(int(columns[-1]))
        vertical[ys[0] : ys[-1], xs[-1] - 1 : xs[-1] + 1] = 255
    if len(xs) < 2:  # noqa: PLR2004 - a left and a right edge
        return None
    groups = _merged(horizontal, vertical, xs, ys)
    places = [
        Place(
            row,
            column,
            rows,
            columns_,
            Box(left + xs[column], top + ys[row], left + xs[column + columns_], top + ys[row + rows]),
        )
        for row, column, rows, columns_ in groups
    ]
    return Grid(Box(left + xs[0], top + ys[0], left + xs[-1], top + ys[-1]), places)


def _positions(mask: Mask, axis: int) -> list[int]:
    """Where rules lie: the middles of the components, clustered, without slivers."""
    stats = marks_of(mask).stats[1:]
    start, size = (1, 3) if axis == 1 else (0, 2)
    middles = [int(s[start] + s[size] // 2) for s in stats if s[size] <= 3 * _APART]
    thick = [s for s in stats if s[size] > 3 * _APART]
    for s in thick:
        # Slanted or touching rules in one component: take its densest lines.
        x, y, w, h = (int(v) for v in s[:4])
        profile = (mask[y : y + h, x : x + w] > 0).sum(axis=axis)
        reach = w if axis == 1 else h
        middles += [int(s[start]) + int(at) for at in np.flatnonzero(profile > reach * 0.6)]
    positions = clustered(middles, _APART)
    kept = positions[:1]
    for position in positions[1:]:
        if position - kept[-1] >= _LEAST:
            kept.append(position)
    return kept


def _merged(
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
            here = row * width + column
            if column + 1 < width and not _ruled(vertical, xs[column + 1], ys[row], ys[row + 1], 0):
                parent[root(here + 1)] = root(here)
            if row + 1 < height and not _ruled(horizontal, ys[row + 1], xs[column], xs[column + 1], 1):
                parent[root(here + width)] = root(here)
    members: dict[int, list[int]] = {}
    for cell in range(height * width):
        members.setdefault(root(cell), []).append(cell)
    found = []
    for cells in members.values():
        rows, columns = [cell // width for cell in cells], [cell % width for cell in cells]
        tall, wide = max(rows) - min(rows) + 1, max(columns) - min(columns) + 1
        if tall * wide == len(cells):
            found.append((min(rows), min(columns), tall, wide))
        else:  # not a rectangle: some rule was missed; the smallest cells lose nothing
            found += [(cell // width, cell % width, 1, 1) for cell in cells]
    return sorted(found)


def _ruled(mask: Mask, at: int, start: int, end: int, axis: int) -> bool:
    """Whether a rule covers the border at `at` from `start` to `end`."""
    reach = slice(max(0, at - _APART), at + _APART + 1)
    inset = min(4, (end - start) // 4)
    along = slice(start + inset, end - inset)
    part = mask[reach, along].any(axis=0) if axis == 1 else mask[along, reach].any(axis=1)
    return bool(part.size) and float(part.mean()) >= _COVERED
