"""Tables as they come, made into tables as they are: without empty rows, hollow spans and hoaxes."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.blocks import grid
from ingest.documents import Cell, Table

MAX_COLSPAN = 1000
"""The widest span that HTML knows."""


def span(value: object, *, at_most: int) -> int:
    """Reads a span as HTML does: what is no number from 1 is 1. `rowspan=0` is all that is left."""
    text = str(value or "").strip()
    if not text.isascii() or not text.isdigit():
        return 1
    # A number of a million digits would take minutes to read.
    number = int(text) if len(text) <= len(str(at_most)) else at_most
    return min(number, at_most) or at_most


def tidy(rows: Sequence[Sequence[Cell]], page: int = 1) -> Table | None:
    """Returns the table of these rows; None where nothing is written in it.

    Empty rows and columns in which no cell begins are taken out and the spans over them are
    shortened; spans that reach beyond the last row end there.
    """
    kept = _without_empty_rows([list(row) for row in rows])
    if not kept:
        return None
    return Table(rows=_without_hollow_columns(kept), page=page)


def _without_empty_rows(rows: list[list[Cell]]) -> list[list[Cell]]:
    written = [any(cell.text.strip() or cell.rowspan > 1 for cell in row) for row in rows]
    if not any(cell.text.strip() for row in rows for cell in row):
        return []
    left_before = [0]
    for is_written in written:
        left_before.append(left_before[-1] + is_written)
    kept = []
    for number, row in enumerate(rows):
        if written[number]:
            kept.append(
                [
                    cell.model_copy(
                        update={
                            "rowspan": left_before[min(number + cell.rowspan, len(rows))]
                            - left_before[number]
                        }
                    )
                    for cell in row
                ]
            )
    return kept


def _without_hollow_columns(rows: list[list[Cell]]) -> list[list[Cell]]:
    places = grid(rows)
    begin: set[int] = set()
    covered: dict[int, list[int]] = {}
    for row in places:
        for column, cell in enumerate(row):
            if cell is None:
                continue
            if column == 0 or row[column - 1] is not cell:
                begin.add(column)
                covered[id(cell)] = []
            covered[id(cell)].append(column)
    return [
        [
            cell.model_copy(
                update={"colspan": max(1, sum(column in begin for column in set(covered.get(id(cell), ()))))}
            )
            for cell in row
        ]
        for row in rows
    ]
