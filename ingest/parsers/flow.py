"""What a page flows with before it has a structure: lines, gaps and tables.

HTML, Markdown, plain text and the text of a PDF all come to this, so that one set of rules finds the
headings and lists in all of them (`ingest/parsers/assemble.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.documents import Table
from tools.core.text import one_line


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `level` is that of a heading the markup names, else 0; `item` marks an item of a
    list; `strong`, that all of it is bold or larger than the text around it."""

    text: str
    level: int = 0
    item: bool = False
    strong: bool = False
    page: int = 1


@dataclass(frozen=True, slots=True)
class Gap:
    """The end of a paragraph."""


GAP = Gap()
Flow = Line | Gap | Table


def folded(text: str) -> str:
    """Returns text as it is read: cleaned, on one line."""
    return one_line(text)
