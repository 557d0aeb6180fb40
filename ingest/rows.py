"""Rows of structured postings: JSONL and CSV files, read row by row, in whatever state exports leave them."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from ingest.columns import is_known
from ingest.csv_rows import LONGEST_RECORD, csv_rows
from ingest.errors import DocumentUnreadableError
from ingest.paths import as_on_disk
from ingest.row import Row
from ingest.structured import Left, as_posting
from tools.core.errors import InvalidRequestError
from tools.postings.contracts import Posting
from tools.postings.deadlines import KOREA

LONGEST_LINE = LONGEST_RECORD
"""Characters of a JSONL line that are read."""
_LARGEST_ARRAY = 100 * 1024 * 1024
"""Characters of a file that is one JSON array and so is read as a whole."""
_AT_ONCE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not a posting, and why."""

    file: str
    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A field of a row that is a posting without it: what stood there, and why it could not be read."""

    file: str
    line: int
    field: str
    said: str
    problem: str


def rows(path: Path, opener: Callable[[str, int], int] | None = None) -> Generator[Row, None, None]:
    """Yields the rows of a `.jsonl`, `.csv` or `.tsv` file, whatever they hold. Empty lines are passed over.
    `opener` is as that of `open`.

    A JSONL file may also be one array of objects (its rows are then numbered by their place in it). The
    cells of a CSV may be separated by commas, semicolons, tabs or bars; those of an empty or unnamed
    column, and empty ones, say nothing. Texts are UTF-8 or UTF-16, a CSV also CP949, as Excel writes it.

    Raises:
        InvalidRequestError: the file cannot be read, or is of another kind.
    """
    readers: dict[str, Callable[[TextIO], Iterator[Row]]] = {
        ".jsonl": _json_rows,
        ".csv": csv_rows,
        ".tsv": csv_rows,
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InvalidRequestError(
            f"{path.name}: `ingest load` reads .jsonl, .csv and .tsv files.", file=str(path)
        )
    try:
        # Opened once: what is looked at is what is read.
        with (
            open(path if opener else as_on_disk(path), "rb", opener=opener) as file,
            io.TextIOWrapper(file, _encoding(file, suffix), newline="") as text,
        ):
            yield from readers[suffix](text)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is not UTF-8. Save it as UTF-8.", file=str(path)) from error
    except (OSError, csv.Error) as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error


def read(path: Path) -> Iterator[Posting | Refused | Unread]:
    """Yields the postings of a file, each after its fields that could not be read and are left empty; a row
    that is no posting is yielded as Refused.

    A plain `id` is taken for the source id, and the file's name for a missing source. A deadline without a
    year counts from the day that the row names (`posted_at` and its like), else from that of the file.

    Raises:
        InvalidRequestError: as `rows`.
    """
    seen: date | None = None
    for row in rows(path):
        seen = seen or datetime.fromtimestamp(as_on_disk(path).stat().st_mtime, KOREA).date()
        told = [Left(name, cell, "it has no column of its own") for name, cell in row.lost]

        try:
            if row.problem is not None:
                raise DocumentUnreadableError(row.problem)  # noqa: TRY301 - one way to refuse a row
            posting = as_posting(row.value, source=path.stem, seen=seen, tell=told.append)
        except DocumentUnreadableError as error:
            yield Refused(path.name, row.line, error.message)
        else:
            yield from (Unread(path.name, row.line, *left) for left in told)
            yield posting


def _encoding(file: BinaryIO, suffix: str) -> str:
    """The encoding of a file: what its byte order mark says, else UTF-8; of a CSV that is not, CP949."""
    head = file.read(4)
    file.seek(0)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if suffix == ".jsonl" or head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    found = next(filter(lambda encoding: _reads(file, encoding), ("utf-8", "cp949")), "utf-8")
    file.seek(0)
    return found


def _reads(file: BinaryIO, encoding: str) -> bool:
    file.seek(0)
    try:
        for _ in codecs.iterdecode(iter(lambda: file.read(_AT_ONCE), b""), encoding):
            pass
    except UnicodeDecodeError:
        return False
    return True


def _json_rows(file: TextIO) -> Iterator[Row]:
    head = ""
    while (line := file.readline(LONGEST_LINE)) and not line.strip():
        head += line
    head += line
    if line.lstrip().startswith(("[", "{")) and not _is_row(line):
        head += file.read(_LARGEST_ARRAY)
        if (objects := _objects(head)) is not None:
            for number, value in enumerate(objects, 1):
                yield Row(number, value, orjson.dumps(value).decode())
            return
    yield from _json_lines(io.StringIO(head), file)


def _is_row(line: str) -> bool:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and any(map(is_known, value))


def _objects(text: str) -> list[Any] | None:
    """The objects of a text that is one array of them, or one object, or holds one array (`{"jobs": […]}`);
    None for all else."""
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
        while text := file.readline(LONGEST_LINE):
            line += 1
            if len(text) == LONGEST_LINE and not text.endswith("\n"):
                while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                    pass
                yield Row(line, None, text[:1000], f"longer than {LONGEST_LINE} characters")
            elif text.strip():
                try:
                    yield Row(line, _value(text), text)
                except (ValueError, RecursionError) as error:
                    yield Row(line, None, text, f"not JSON: {error}")


def _value(text: str) -> Any:
    """The value of a line of JSON; of what Python's own `json` writes and JSON has no word for (`NaN`, half a
    surrogate pair), nothing."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_constant=lambda _: None)
