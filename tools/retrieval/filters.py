"""How a place and a kind of employment are asked for in the words that postings write them in
(`filters.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml

Employment = Literal["full_time", "contract", "part_time", "intern", "freelance"]

_WORDS: dict[str, Any] = yaml.load(
    (Path(__file__).parent / "filters.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)


PLACES: list[list[str]] = _WORDS["places"]
"""Places that are known in both languages: the spellings of each, in lower case."""


def place_patterns(place: str) -> list[str]:
    """Returns patterns of LIKE that find a place in either language; one that is not listed, as it is
    written."""
    asked = place.lower()
    same = [words for words in PLACES if any(word in asked for word in words)]
    return [_containing(word) for word in (same[0] if same else [asked])]


def employment_patterns(employment: Employment) -> list[str]:
    """Returns patterns of LIKE that find a kind of employment in either language."""
    return [_containing(word) for word in _WORDS["employment"][employment]]


def _containing(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
