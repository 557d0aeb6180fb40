"""Rows of structured postings: JSONL and CSV files, read row by row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson
from pydantic import ValidationError

from ingest.csv_records import records
from tools.contracts import Posting
from tools.errors import DocumentUnreadableError, InvalidRequestError

LONGEST_LINE = 8 * 1024 * 1024
"""Characters of a JSONL line or a CSV record that are read: all texts of a posting at their limits have a
tenth of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file. `value` is null where the row is not JSON at all; `problem` says so then, and
    `text` is the row as it stands in the file (null for a CSV, whose rows always have a value)."""

    line: int
    value: Any
    text: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not a posting, and why."""

    file: str
    line: int
    problem: str


def rows(path: Path, opener: Callable[[str, int], int] | None = None) -> Generator[Row, None, None]:
    """Yields the rows of a `.jsonl` or `.csv` file, whatever they hold. Empty lines are passed over.
    `opener` is as that of `open`.

    In a CSV, empty cells say nothing and skills are separated by commas.

    Raises:
        InvalidRequestError: the file cannot be read, or is neither JSONL nor CSV.
    """
    readers: dict[str, Callable[[TextIO], Iterator[Row]]] = {".jsonl": _json_rows, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise InvalidRequestError(f"{path.name}: `ingest load` reads .jsonl and .csv files.", file=str(path))
    try:
        with open(path, encoding="utf-8-sig", newline="", opener=opener) as text:
            yield from readers[path.suffix.lower()](text)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is not UTF-8. Save it as UTF-8.", file=str(path)) from error
    except (OSError, csv.Error) as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error


def read(path: Path) -> Iterator[Posting | Refused]:
    """Yields the postings of a `.jsonl` or `.csv` file; a row that is none is yielded as Refused.

    A plain `id` is taken for the source id, and the file's name for a missing source.

    Raises:
        InvalidRequestError: the file cannot be read, or is neither JSONL nor CSV.
    """
    for row in rows(path):
        try:
            if row.problem is not None:
                raise DocumentUnreadableError(row.problem)  # noqa: TRY301 - one way to refuse a row
            yield as_posting(row.value, source=path.stem)
        except DocumentUnreadableError as error:
            yield Refused(path.name, row.line, error.message)


def stated(value: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Returns what a row says: without nulls, with a plain `id` as its source id and `source` as its
    source where it names none."""
    given = {key: cell for key, cell in value.items() if cell is not None}
    return {"source": source, "source_id": value.get("id"), **given}


def as_posting(value: Any, *, source: str) -> Posting:
    """Returns the posting that a row's value states.

    Raises:
        DocumentUnreadableError: it is none; the message names the fields and what is wrong with them.
    """
    if not isinstance(value, dict):
        raise DocumentUnreadableError("not a JSON object")
    try:
        return Posting.model_validate(stated(value, source=source))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DocumentUnreadableError("; ".join(problems)) from error


def _json_rows(file: TextIO) -> Iterator[Row]:
    line = 0
    while text := file.readline(LONGEST_LINE):
        line += 1
        if len(text) == LONGEST_LINE and not text.endswith("\n"):
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                pass
            yield Row(line, None, text[:1000], f"longer than {LONGEST_LINE} characters")
        elif text.strip():
            try:
                yield Row(line, orjson.loads(text), text)
            except orjson.JSONDecodeError as error:
                yield Row(line, None, text, f"not JSON: {error}")


def _csv_rows(file: TextIO) -> Iterator[Row]:
    for record in records(file, LONGEST_LINE):
        line = record.line
        if record.cells is None:
            yield Row(line, None, None, f"longer than {LONGEST_LINE} characters")
            continue
        # Absent columns and empty cells say nothing, in a CSV.
        values: dict[str, Any] = {key: value for key, value in record.cells.items() if key and value}
        if "skills" in values:
            values["skills"] = [skill.strip() for skill in values["skills"].split(",") if skill.strip()]
        yield Row(line, values)
