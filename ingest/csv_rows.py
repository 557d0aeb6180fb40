"""Rows of a CSV file: its separator, columns that stand twice, cells beyond them, quotes without an end.

Python's `csv` takes a record whole, however long: a cell of 600 MB takes 3.8 GB. Here one that is too long is
told and not held.
"""

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
from tools.core.text import one_line

LONGEST_RECORD = 8 * 1024 * 1024
"""Characters of a record that are read: all texts of a posting at their limits have a tenth of it."""
_SHOWN = 1_000
"""Characters of a line that is too long that are kept, to show which it is."""
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE | re.DOTALL)
"""How Excel is told which one it is."""


def csv_rows(file: TextIO) -> Iterator[Row]:
    """Yields the rows of a CSV under its first row, which names the columns. Rows without a word in them,
    and those that name the columns again, are passed over.

    A quote that is never closed takes all that follows into its cell: that row is refused, and the lines
    after its first are read by themselves. So is one that is longer than LONGEST_RECORD.

    Raises:
        csv.Error: the first row is too long.
    """
    # A cell above the module's limit would end the whole file; so long a text is refused by itself.
    csv.field_size_limit(sys.maxsize)
    read = _lines_of(file)
    number, first = 1, next(read, "")
    while first and not first.strip():
        number, first = number + 1, next(read, "")
    if told := _SEPARATOR_LINE.fullmatch(first):
        number, first = number + 1, next(read, "")
    separator = told[1] if told else _separator(first)
    lines = _Lines(itertools.chain([first], read), number)
    try:
        columns = [one_line(name) for name in next(csv.reader(lines, delimiter=separator), [])]
    except _TooLongError as error:
        raise csv.Error(f"its first row is longer than {LONGEST_RECORD} characters") from error
    lines.begin_row()
    rest: _Lines | None = lines
    while rest is not None:
        rest = yield from _rows(rest, columns, separator)


class _TooLongError(Exception):
    """A row is longer than it may be."""


class _Cut(str):
    """The beginning of a line that is too long."""

    __slots__ = ()


def _lines_of(file: TextIO) -> Iterator[str]:
    """Yields the lines of a file; of one that is longer than a record may be, its beginning."""
    while line := file.readline(LONGEST_RECORD + 1):
        if len(line) <= LONGEST_RECORD:
            yield line
            continue
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = file.readline(LONGEST_RECORD)
        yield _Cut(line[:_SHOWN])


class _Lines:
    """The lines of a file from line `number` on; `of_row` are those of the row that is being read."""

    def __init__(self, lines: Iterable[str], number: int) -> None:
        self._lines = iter(lines)
        self.number = number
        self.of_row: list[str] = []
        self._left = LONGEST_RECORD

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.of_row.append(line := next(self._lines))
        self._left -= len(line)
        if isinstance(line, _Cut) or self._left < 0:
            raise _TooLongError
        return line

    def begin_row(self) -> None:
        """What was read is the row before."""
        self.number += len(self.of_row)
        self.of_row = []
        self._left = LONGEST_RECORD

    def after_first(self) -> _Lines:
        """All lines but the first of the row that is being read."""
        return _Lines(itertools.chain(self.of_row[1:], self._lines), self.number + 1)


def _rows(lines: _Lines, columns: list[str], separator: str) -> Generator[Row, None, _Lines | None]:
    """Yields rows to the end, or to one that ends nowhere; returns the lines after its first."""
    reader = csv.reader(lines, delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return None
        except _TooLongError:
            problem = f"longer than {LONGEST_RECORD} characters"
            yield Row(lines.number, None, lines.of_row[0][:_SHOWN], problem)
            return lines.after_first()
        if len(lines.of_row) > 1 and _is_open(lines.of_row, separator):
            problem = f"a quote is not closed, which made {len(lines.of_row)} lines one row"
            yield Row(lines.number, None, lines.of_row[0], problem)
            return lines.after_first()
        row = _row(lines.number, cells, columns)
        if cells != columns and (row.value or row.lost):
            yield row
        lines.begin_row()


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
