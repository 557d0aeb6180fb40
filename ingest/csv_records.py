"""Records of a CSV file, each no longer than it may be.

Python's `csv` takes a record whole, however long: a cell of 600 MB takes 3.8 GB. Here a record that is too
long is told and passed over without being held, and the next one is read.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Record:
    """A record: the line it begins on, and its cells by column; None where it is too long."""

    line: int
    cells: dict[str, Any] | None


def records(file: TextIO, longest: int) -> Iterator[Record]:
    """Yields the records below the first, which names the columns. `longest` is in characters.

    Raises:
        csv.Error: the first record is too long, or the file is none that `csv` reads.
    """
    lines = _Lines(file, longest)
    # A cell above the module's own limit would end the whole file.
    csv.field_size_limit(sys.maxsize)
    try:
        columns = next(csv.reader(lines), [])
    except _TooLongError as error:
        raise csv.Error(f"its first record is longer than {longest} characters") from error
    table = csv.DictReader(lines, columns)
    while True:
        # DictReader passes over empty lines, so a record begins where the line does that has something.
        lines.begin()
        try:
            cells = next(table, None)
        except _TooLongError:
            yield Record(lines.began, None)
            lines.pass_over()
            # The reader stands in the middle of what was passed over.
            table = csv.DictReader(lines, columns)
            continue
        if cells is None:
            return
        yield Record(lines.began, cells)


class _TooLongError(Exception):
    """A record is longer than it may be."""


class _Lines:
    """The lines of a file for a reader of records, each as long as its record may still be."""

    def __init__(self, file: TextIO, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._read = 0
        self.began = 0
        """Where the record begins that is being read."""
        self._held: list[str] = []
        """The record's lines as far as they are read: to know in passing over whether a quote is open."""
        self._left = longest

    def begin(self) -> None:
        """A record begins."""
        self._held.clear()
        self._left = self._longest
        self.began = self._read + 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        if not self._held and not line.strip("\r\n"):
            self._read += 1
            self.began = self._read + 1
            return line
        self._held.append(line)
        self._left -= len(line)
        if self._left < 0:
            raise _TooLongError
        self._read += 1
        return line

    def pass_over(self) -> None:
        """Goes to the end of the record, a piece at a time."""
        quotes = _Quotes()
        while True:
            piece = self._held.pop(0) if self._held else self._file.readline(self._longest)
            if not piece:
                return
            quotes.after(piece)
            ended = piece.endswith(("\n", "\r"))
            if ended and not self._held:
                self._read += 1
            if ended and not quotes.open:
                return


class _Quotes:
    """Whether a quoted cell is open, piece after piece, as `csv` reads them: a quote opens a cell only at
    its beginning, and within one two quotes are a letter."""

    def __init__(self) -> None:
        self._state = _BETWEEN

    @property
    def open(self) -> bool:
        """Whether a line's end belongs to a cell now."""
        return self._state is _QUOTED

    def after(self, piece: str) -> None:
        """Reads on."""
        if '"' not in piece:
            # Most of what is too long: no need to look at each letter.
            if self._state is not _QUOTED:
                self._state = _BETWEEN if piece.endswith(_ENDS) else _PLAIN
            return
        for token in _TOKEN.finditer(piece):
            self._state = self._state.get(token[0], self._state["other"])


_ENDS = (",", "\r", "\n")
_TOKEN = re.compile(r'["\r\n,]|[^"\r\n,]+')
_State = dict[str, "_State"]
_BETWEEN: _State = {}
_PLAIN: _State = {}
_QUOTED: _State = {}
_CLOSING: _State = {}
"""Between two cells; in one without quotes; in a quoted one; behind a quote in it."""
_BETWEEN |= {'"': _QUOTED, **dict.fromkeys(_ENDS, _BETWEEN), "other": _PLAIN}
_PLAIN |= {**dict.fromkeys(_ENDS, _BETWEEN), "other": _PLAIN, '"': _PLAIN}
_QUOTED |= {'"': _CLOSING, "other": _QUOTED}
_CLOSING |= {'"': _QUOTED, **dict.fromkeys(_ENDS, _BETWEEN), "other": _PLAIN}
