"""JSONL and CSV files of structured postings, read row by row, in the states in which exports leave them.

Python's `csv` reads a whole record into memory: a cell of 600 MB takes 3.8 GB. Here a record that is too
long is refused before it is read to its end."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from ingest.errors import DocumentUnreadableError
from ingest.structured.cells import is_blank
from ingest.structured.columns import UnreadField, as_posting, is_known
from tools.core.errors import InvalidRequestError
from tools.core.text import clean, one_line
from tools.postings.contracts import Posting
from tools.postings.deadlines import KOREA

LONGEST_RECORD = 8 * 1024 * 1024
"""Characters of a record that are read: all texts of a posting at their limits have a tenth of it."""
_SHOWN = 1_000
"""Characters of a line that is too long that are kept, to show which line it is."""
_LARGEST_ARRAY = 100 * 1024 * 1024
"""Characters of a file that is one JSON array and so is read as a whole."""
_READ_BYTES = 1024 * 1024
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE | re.DOTALL)
"""The line by which Excel is told the separator."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file.

    `value` is null where the row cannot be read at all; then `problem` says why. `text` is the row as it
    stands in the file (null for the rows of a CSV that can be read). `lost` are cells that have no column
    of their own, each with the name of the column that it would be in."""

    line: int
    value: Any
    text: str | None = None
    problem: str | None = None
    lost: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not a posting, and why."""

    file: str
    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class UnreadCell:
    """A cell of a row that is a posting without it: its field, its value, and why it could not be read."""

    file: str
    line: int
    field: str
    value: str
    problem: str


def read_postings(path: Path) -> Iterator[Posting | RefusedRow | UnreadCell]:
    """Yields the postings of a file, each after its cells that could not be read; a row that is no posting
    is yielded as RefusedRow.

    A plain `id` is taken for the source id, and the file's name for a missing source. A deadline without a
    year counts from the day that the row names (`posted_at` and its like), else from the day of the file.

    Raises:
        InvalidRequestError: as `read_rows`.
    """
    seen: date | None = None
    for row in read_rows(path):
        seen = seen or datetime.fromtimestamp(as_on_disk(path).stat().st_mtime, KOREA).date()
        unread = [UnreadField(name, cell, "it has no column of its own") for name, cell in row.lost]
        try:
            if row.problem is not None:
                raise DocumentUnreadableError(row.problem)  # noqa: TRY301 - one way to refuse a row
            posting = as_posting(row.value, source=path.stem, seen=seen, report=unread.append)
        except DocumentUnreadableError as error:
            yield RefusedRow(path.name, row.line, error.message)
        else:
            yield from (UnreadCell(path.name, row.line, *field) for field in unread)
            yield posting


def read_rows(path: Path, opener: Callable[[str, int], int] | None = None) -> Generator[Row, None, None]:
    """Yields the rows of a `.jsonl`, `.csv` or `.tsv` file, whatever they hold. Empty lines are passed
    over. `opener` is as that of `open`.

    A JSONL file may also be one array of objects (its rows are then numbered by their place in it). The
    cells of a CSV may be separated by commas, semicolons, tabs or bars; empty cells, and those of an empty
    or unnamed column, are left out. Texts are UTF-8 or UTF-16, a CSV also CP949, as Excel writes it.

    Raises:
        InvalidRequestError: the file cannot be read, or is of another kind.
    """
    readers: dict[str, Callable[[TextIO], Iterator[Row]]] = {
        ".jsonl": _json_rows,
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InvalidRequestError(f"{path.name}: `ingest load` reads .jsonl, .csv and .tsv files.")
    try:
        # Opened once: the encoding is that of the file which is read.
        with (
            open(path if opener else as_on_disk(path), "rb", opener=opener) as file,
            io.TextIOWrapper(file, _encoding(file, suffix), newline="") as text,
        ):
            yield from readers[suffix](text)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is not UTF-8. Save it as UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}") from error


def as_on_disk(path: Path) -> Path:
    """Returns a path with the names that its folders have on disk: macOS writes 공고 in pieces, a keyboard
    composed, and other systems take these for two names."""
    if path.exists() or path.parent == path:
        return path
    parent = as_on_disk(path.parent)
    try:
        return next((entry for entry in parent.iterdir() if clean(entry.name) == clean(path.name)), path)
    except OSError:
        return path


def _encoding(file: BinaryIO, suffix: str) -> str:
    """Returns the encoding of a file: that of its byte order mark, else UTF-8; of a CSV that is not,
    CP949."""
    head = file.read(4)
    file.seek(0)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if suffix == ".jsonl" or head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    encoding = next((name for name in ("utf-8", "cp949") if _decodes(file, name)), "utf-8")
    file.seek(0)
    return encoding


def _decodes(file: BinaryIO, encoding: str) -> bool:
    file.seek(0)
    try:
        for _ in codecs.iterdecode(iter(lambda: file.read(_READ_BYTES), b""), encoding):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _json_rows(file: TextIO) -> Iterator[Row]:
    head = ""
    while (line := file.readline(LONGEST_RECORD)) and not line.strip():
        head += line
    head += line
    if line.lstrip().startswith(("[", "{")) and not _is_posting_row(line):
        head += file.read(_LARGEST_ARRAY)
        if (objects := _objects(head)) is not None:
            for number, value in enumerate(objects, 1):
                yield Row(number, value, orjson.dumps(value).decode())
            return
    yield from _json_lines(io.StringIO(head), file)


def _is_posting_row(line: str) -> bool:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and any(map(is_known, value))


def _objects(text: str) -> list[Any] | None:
    """Returns the objects of a text that is one array of them, or one object, or holds one array (`{"jobs":
    […]}`); None for everything else."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, dict):
        arrays = [part for part in value.values() if isinstance(part, list) and part]
        inner = [part for part in arrays if all(isinstance(item, dict) for item in part)]
        return inner[0] if len(inner) == 1 and not any(map(is_known, value)) else [value]
    return value if isinstance(value, list) else None


def _json_lines(*files: TextIO) -> Iterator[Row]:
    line = 0
    for file in files:
        while text := file.readline(LONGEST_RECORD):
            line += 1
            if len(text) == LONGEST_RECORD and not text.endswith("\n"):
                while (rest := file.readline(LONGEST_RECORD)) and not rest.endswith("\n"):
                    pass
                yield Row(line, None, text[:_SHOWN], f"longer than {LONGEST_RECORD} characters")
            elif text.strip():
                try:
                    yield Row(line, _json_value(text), text)
                except (ValueError, RecursionError) as error:
                    yield Row(line, None, text, f"not JSON: {error}")


def _json_value(text: str) -> Any:
    """Returns the value of a line of JSON. Python's own `json` also writes what is not JSON: `NaN` is read
    as null, and half a surrogate pair is accepted."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_constant=lambda _: None)


def _csv_rows(file: TextIO) -> Iterator[Row]:
    """Yields the rows of a CSV under its first row, which names the columns. Blank rows, and those that
    name the columns again, are passed over.

    A quote that is never closed takes everything that follows into its cell: that row is refused, and the
    lines after its first are read by themselves. So is a row that is longer than LONGEST_RECORD.

    Raises:
        csv.Error: the first row is too long.
    """
    # A cell above the module's limit would end the whole file; so long a text is refused by itself.
    csv.field_size_limit(sys.maxsize)
    lines_of_file = _lines_of(file)
    number, first = 1, next(lines_of_file, "")
    while first and not first.strip():
        number, first = number + 1, next(lines_of_file, "")
    if named := _SEPARATOR_LINE.fullmatch(first):
        number, first = number + 1, next(lines_of_file, "")
    separator = named[1] if named else _separator(first)
    lines = _Lines(itertools.chain([first], lines_of_file), number)
    try:
        columns = [one_line(name) for name in next(csv.reader(lines, delimiter=separator), [])]
    except _TooLongError as error:
        raise csv.Error(f"its first row is longer than {LONGEST_RECORD} characters") from error
    lines.begin_row()
    rest: _Lines | None = lines
    while rest is not None:
        rest = yield from _csv_rows_until_broken(rest, columns, separator)


class _TooLongError(Exception):
    """A row is longer than LONGEST_RECORD."""


class _Cut(str):
    __slots__ = ()


def _lines_of(file: TextIO) -> Iterator[str]:
    """Yields the lines of a file; of one that is longer than LONGEST_RECORD, its beginning."""
    while line := file.readline(LONGEST_RECORD + 1):
        if len(line) <= LONGEST_RECORD:
            yield line
            continue
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = file.readline(LONGEST_RECORD)
        yield _Cut(line[:_SHOWN])


class _Lines:
    """The lines of a file from line `number` on; `of_row` are those of the current row."""

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
        """Ends the current row and begins the next."""
        self.number += len(self.of_row)
        self.of_row = []
        self._left = LONGEST_RECORD

    def after_first(self) -> _Lines:
        """Returns all lines but the first of the current row."""
        return _Lines(itertools.chain(self.of_row[1:], self._lines), self.number + 1)


def _csv_rows_until_broken(
    lines: _Lines, columns: list[str], separator: str
) -> Generator[Row, None, _Lines | None]:
    """Yields rows to the end of the file, or to a row without an end; returns the lines after its first."""
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
        row = _csv_row(lines.number, cells, columns)
        if cells != columns and (row.value or row.lost):
            yield row
        lines.begin_row()


def _is_open(lines: list[str], separator: str) -> bool:
    """Whether a further line would still be in the last cell."""
    end = "end"
    *_, last = csv.reader([*lines, end], delimiter=separator)
    return last != [end]


def _csv_row(number: int, cells: list[str], columns: list[str]) -> Row:
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
    """Returns the separator that makes the most known columns of a first line."""

    def known(separator: str) -> int:
        return sum(map(is_known, map(one_line, next(csv.reader([first], delimiter=separator), []))))

    return max(_SEPARATORS, key=known)
