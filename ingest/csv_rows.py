"""Rows of a CSV file: its separator, columns that stand twice, cells beyond them, quotes without an end."""

from __future__ import annotations

import csv
import itertools
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import TextIO

from ingest.cells import is_blank
from ingest.columns import is_known
from ingest.row import Row
from tools.text import one_line

_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE | re.DOTALL)
"""How Excel is told which one it is."""


def csv_rows(file: TextIO) -> Iterator[Row]:
    """Yields the rows of a CSV under its first row, which names the columns. Rows without a word in them,
    and those that name the columns again, are passed over.

    A quote that is never closed takes all that follows into its cell: that row is refused, and the lines
    after its first are read by themselves.
    """
    # A cell above the module's limit would end the whole file; so long a text is refused by itself.
    csv.field_size_limit(sys.maxsize)
    number, first = 1, file.readline()
    while first and not first.strip():
        number, first = number + 1, file.readline()
    if told := _SEPARATOR_LINE.fullmatch(first):
        number, first = number + 1, file.readline()
    separator = told[1] if told else _separator(first)
    lines = _Lines(itertools.chain([first], file), number)
    columns = [one_line(name) for name in next(csv.reader(lines, delimiter=separator), [])]
    lines.begin_row()
    rest: _Lines | None = lines
    while rest is not None:
        rest = yield from _rows(rest, columns, separator)


class _Lines:
    """The lines of a file from line `number` on; `of_row` are those of the row that is being read."""

    def __init__(self, lines: Iterable[str], number: int) -> None:
        self._lines = iter(lines)
        self.number = number
        self.of_row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.of_row.append(line := next(self._lines))
        return line

    def begin_row(self) -> None:
        """What was read is the row before."""
        self.number += len(self.of_row)
        self.of_row = []


def _rows(lines: _Lines, columns: list[str], separator: str) -> Generator[Row, None, _Lines | None]:
    """Yields rows to the end, or to a quote without one; returns the lines after that."""
    for cells in csv.reader(lines, delimiter=separator):
        if len(lines.of_row) > 1 and _is_open(lines.of_row, separator):
            problem = f"a quote is not closed, which made {len(lines.of_row)} lines one row"
            yield Row(lines.number, None, lines.of_row[0], problem)
            return _Lines(lines.of_row[1:], lines.number + 1)
        row = _row(lines.number, cells, columns)
        if cells != columns and (row.value or row.lost):
            yield row
        lines.begin_row()
    return None


def _is_open(lines: list[str], separator: str) -> bool:
    """Whether a further line would still be in the last cell."""
    end = "end"
    *_, last = csv.reader([*lines, end], delimiter=separator)
    return last != [end]


def _row(number: int, cells: list[str], columns: list[str]) -> Row:
    values: dict[str, str] = {}
    lost: list[tuple[str, str]] = []
    for place, cell in enumerate(cells):
        name = columns[place] if place < len(columns) else f"column {place + 1}"
        if not name or is_blank(cell):
            continue
        if place >= len(columns) or values.setdefault(name, cell) != cell:
            lost.append((name, cell))
    return Row(number, values, lost=tuple(lost))


def _separator(first: str) -> str:
    """What separates the cells of a first line: what makes the most columns that are known."""

    def known(separator: str) -> int:
        return sum(map(is_known, map(one_line, next(csv.reader([first], delimiter=separator), []))))

    return max(_SEPARATORS, key=known)
