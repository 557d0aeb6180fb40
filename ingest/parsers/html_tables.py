"""The tables of a page of HTML: those of data become tables, those of layout become text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.blocks import BULLET
from ingest.documents import Cell, Table
from ingest.parsers.flow import GAP, Flow, Line
from ingest.parsers.tables import MAX_COLSPAN, span, tidy

MAX_ROWSPAN = 65_534
"""The highest span that HTML knows."""
_LONG_CELL = 5
"""Lines from which a cell is a column of a page rather than a cell: where a table is one row of them."""


@dataclass(slots=True)
class _Cell:
    flow: list[Flow] = field(default_factory=list)
    rowspan: int = 1
    colspan: int = 1
    header: bool = False


class TableFrame:
    """A table that is being read. `out` is where lines go at the moment."""

    def __init__(self, *, presentation: bool) -> None:
        self._presentation = presentation
        self._before: list[Flow] = []
        self._rows: list[list[_Cell]] = []
        self._cell: _Cell | None = None
        self._in_head = False

    @property
    def out(self) -> list[Flow]:
        """The open cell, or what stands before the table: its caption, and text outside its cells."""
        return self._before if self._cell is None else self._cell.flow

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A part of the table begins: a row, a cell, its head."""
        if tag in ("td", "th"):
            if not self._rows:
                self._rows.append([])
            self._cell = _Cell(
                rowspan=span(attributes.get("rowspan", 1), at_most=MAX_ROWSPAN),
                colspan=span(attributes.get("colspan", 1), at_most=MAX_COLSPAN),
                header=tag == "th" or self._in_head,
            )
            self._rows[-1].append(self._cell)
        else:
            self._cell = None
            self._in_head = tag == "thead" or (tag == "tr" and self._in_head)
            if tag == "tr":
                self._rows.append([])

    def end(self, tag: str) -> None:
        """A part of the table ends."""
        self._cell = None
        if tag == "thead":
            self._in_head = False

    def close(self) -> list[Flow]:
        """Returns what the table comes to: itself with what stands before it, or the text of its cells."""
        return [*self._before, *(self._as_text() if self._is_layout() else self._as_table())]

    def _is_layout(self) -> bool:
        if self._presentation or all(len(row) <= 1 for row in self._rows):
            return True
        cells = [cell for row in self._rows for cell in row]
        if any(isinstance(element, Table) for cell in cells for element in cell.flow):
            return True
        long = sum(sum(isinstance(x, Line) for x in cell.flow) > _LONG_CELL for cell in cells)
        return len(self._rows) == 1 and long > 1

    def _as_text(self) -> list[Flow]:
        flow: list[Flow] = [GAP]
        for row in self._rows:
            for cell in row:
                flow += cell.flow
                flow.append(GAP)
        return flow

    def _as_table(self) -> list[Flow]:
        table = tidy(
            [
                [
                    Cell(
                        text=_text(cell.flow), rowspan=cell.rowspan, colspan=cell.colspan, header=cell.header
                    )
                    for cell in row
                ]
                for row in self._rows
            ]
        )
        return [] if table is None else [table]


def _text(flow: list[Flow]) -> str:
    return "\n".join(f"{BULLET if line.item else ''}{line.text}" for line in flow if isinstance(line, Line))
