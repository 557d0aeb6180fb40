"""What a page flows with before it has a structure: lines, gaps and tables.

HTML, Markdown, plain text and the text of a PDF all come to this, so that one set of rules finds the
headings and lists in all of them (`ingest/parsers/assemble.py`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ingest.documents import Table


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

_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad\ufe0e\ufe0f]")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u3164\ud800-\udfff]+")


def folded(text: str) -> str:
    """Returns text as it is read: white space and control characters as one space, nothing invisible,
    Hangul composed (macOS writes it in pieces)."""
    if text.isascii():
        return " ".join(_SPACES.sub(" ", text).split())
    return " ".join(_SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).split())
