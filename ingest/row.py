"""A row of a file of structured postings, as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file. `value` is null where the row cannot be read at all; `problem` says so then, and
    `text` is the row as it stands in the file (null for a CSV, whose rows mostly have a value). `lost` are
    cells that have no column of their own, each with the name of that which it would be in."""

    line: int
    value: Any
    text: str | None = None
    problem: str | None = None
    lost: tuple[tuple[str, str], ...] = ()
