"""From a row of an export to a posting: which column is which field, and what its cell says.

Exports name columns as they like: `회사명`, `companyName` and `company` are one field. Only names that
stand in `columns.yaml` are read."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from ingest.errors import DocumentUnreadableError
from ingest.structured import cells
from ingest.structured.cells import identifier, is_blank
from tools.core.text import web_address
from tools.postings.contracts import TEXT_FIELDS, Posting
from tools.postings.deadlines import last_day, stated_day

POSTED = "posted"
"""When the row was written or collected; a deadline without a year counts from it. No field of a posting."""
_COLUMNS: dict[str, str] = yaml.safe_load((Path(__file__).parent / "columns.yaml").read_text("utf-8"))


class UnreadField(NamedTuple):
    """A field that is left empty because its value could not be read."""

    field: str
    value: str
    problem: str


_SHOWN = 200
"""Characters of an unread value that are reported."""


def _key(name: str) -> str:
    """Returns a column's name without case, width and what stands between its words."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


_FIELDS = {field: tuple(_key(name) for name in names.split(", ")) for field, names in _COLUMNS.items()}
_KNOWN = frozenset({"position", *(name for names in _FIELDS.values() for name in names)})
_cached_key = functools.lru_cache(maxsize=1024)(_key)


def is_known(name: str) -> bool:
    """Whether a column of this name is read."""
    return _cached_key(name) in _KNOWN


def stated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cells of a row by the names of a posting's fields, and POSTED. Where several columns are
    one field, the surest one that is not blank counts. Blank cells and other columns are left out. The
    fields that identify the posting are read already."""
    by_name: dict[str, Any] = {}
    for name, cell in row.items():
        if not is_blank(cell):
            by_name.setdefault(_cached_key(name), cell)
    # `position` counts a document's positions here, and elsewhere is the title of the job.
    position = identifier(by_name.pop("position", None))
    is_number = isinstance(position, int) or (isinstance(position, str) and position.isdecimal())
    if position is not None and not is_number:
        by_name.setdefault("positiontitle", position)
    fields = {
        field: next(by_name[name] for name in names if name in by_name)
        for field, names in _FIELDS.items()
        if not by_name.keys().isdisjoint(names)
    }
    for field in ("source", "source_id"):
        if field in fields:
            fields[field] = identifier(fields[field])
    return {**fields, "position": position} if is_number else fields


def as_posting(
    value: Any,
    *,
    source: str,
    seen: date | None = None,
    report: Callable[[UnreadField], None] = lambda _: None,
) -> Posting:
    """Returns the posting that a row states; `source` where it names none.

    A field whose value cannot be read is left empty and goes to `report`. A deadline without a year, or in
    days from now, counts from the day on which the row says it was written, else from `seen`.

    Raises:
        DocumentUnreadableError: the row is no posting; the message names the fields and what is wrong with
    them."""
    if not isinstance(value, dict):
        raise DocumentUnreadableError("not a JSON object")
    row = stated(value)
    written = last_day(row.pop(POSTED, None), seen=seen) or seen
    fields = {"source": source}
    for name, cell in row.items():
        if cells.is_broken(cell):
            report(UnreadField(name, str(cell)[:_SHOWN], "a list without its end; kept as it stands"))
        try:
            fields[name] = _read(name, cell, written)
        except ValueError as error:
            report(UnreadField(name, str(cell)[:_SHOWN], str(error)))
    try:
        return Posting.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DocumentUnreadableError("; ".join(problems)) from error


def _read(name: str, cell: Any, written: date | None) -> Any:
    """Returns the value of a cell for the posting's field `name`.

    Raises:
        ValueError: it cannot be read; the message says why.
    """
    if name in TEXT_FIELDS:
        return cells.lines(cell)
    match name:
        case "source" | "source_id" | "position":
            return cell
        case "skills" | "normalized_skills":
            return cells.names(cell)
        case "deadline":
            return stated_day(cell, seen=written)
        case "url":
            if (address := web_address(cell)) is None:
                raise ValueError("no http or https address")
            return address
        case _:
            return cells.line(cell)
