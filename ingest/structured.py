"""From what a row says to a posting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest import cells
from ingest.columns import POSTED, stated
from ingest.errors import DocumentUnreadableError
from tools.core.text import web_address
from tools.postings.contracts import Posting
from tools.postings.deadlines import last_day, stated_day


class Left(NamedTuple):
    """A field that could not be read and is left empty, what stood there, and why."""

    field: str
    said: str
    problem: str


_SHOWN = 200
"""Characters of what stood in a field."""


def as_posting(
    value: Any, *, source: str, seen: date | None = None, tell: Callable[[Left], None] = lambda _: None
) -> Posting:
    """Returns the posting that a row's value states; `source` where it names none.

    A field that cannot be read is empty, and `tell` is told. A deadline without a year, or in days from
    now, counts from the day that the row says it was written, else from `seen`.

    Raises:
        DocumentUnreadableError: it is none; the message names the fields and what is wrong with them.
    """
    if not isinstance(value, dict):
        raise DocumentUnreadableError("not a JSON object")
    said = stated(value)
    written = last_day(said.pop(POSTED, None), seen=seen) or seen
    fields = {"source": source}
    for name, cell in said.items():
        if cells.is_broken(cell):
            tell(Left(name, str(cell)[:_SHOWN], "a list without its end; kept as it stands"))
        try:
            fields[name] = _field(name, cell, written)
        except ValueError as error:
            tell(Left(name, str(cell)[:_SHOWN], str(error)))
    try:
        return Posting.model_validate(fields)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DocumentUnreadableError("; ".join(problems)) from error


def _field(name: str, cell: Any, written: date | None) -> Any:
    """Returns what a cell says, as the posting's field `name`.

    Raises:
        ValueError: it cannot be read; the message says why.
    """
    match name:
        case "responsibilities" | "requirements" | "preferred":
            return cells.lines(cell)
        case "company" | "job_title" | "location" | "employment_type" | "experience":
            return cells.line(cell)
        case "skills":
            return cells.names(cell)
        case "deadline":
            return stated_day(cell, seen=written)
        case "url":
            if (address := web_address(cell)) is None:
                raise ValueError("no http or https address")
            return address
        case _:
            return cell
