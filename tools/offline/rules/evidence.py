"""Quotes out of the cited postings, letter for letter, that speak for a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.lexicon import canonical, find_skills

from .crafts import Idea
from .market import concepts_of
from .text import SECTIONS, lines, read

_MAX_QUOTES = 5
_ENOUGH = 2
_SHORT, _LONG = 10, 90
_WORTH_ADDING = 2.0


def quote(postings: Sequence[Mapping[str, Any]], idea: Idea, skills: Sequence[str]) -> list[dict[str, str]]:
    """Returns 2 to 5 quotes, one a posting while there are enough postings, the most telling first.

    Fewer when the postings hold fewer lines. A quote is always a part of one line of its posting.
    """
    wanted = {canonical(skill) for skill in skills}
    ranked: list[tuple[float, str, str]] = []
    for posting in postings:
        for section in SECTIONS:
            for line in lines(read(posting, section)):
                ranked.append((_speaks(line, idea, wanted), read(posting, "posting_id"), line))
    ranked.sort(key=lambda row: -row[0])
    chosen: list[tuple[str, str]] = []
    for worth, posting_id, line in ranked:
        if len(chosen) == _MAX_QUOTES:
            break
        if posting_id not in {known for known, _ in chosen} and line not in {said for _, said in chosen}:
            if worth < _WORTH_ADDING and len(chosen) >= _ENOUGH:
                break
            chosen.append((posting_id, line))
    for _, posting_id, line in ranked:
        if len(chosen) >= _ENOUGH:
            break
        if (posting_id, line) not in chosen:
            chosen.append((posting_id, line))
    return [{"posting_id": posting_id, "quote": line} for posting_id, line in chosen]


def _speaks(line: str, idea: Idea, skills: set[str]) -> float:
    worth = 2.0 * len(idea.angle.concepts & set(concepts_of(line)))
    worth += 2.0 * (idea.domain.named.search(line.lower()) is not None)
    worth += min(sum(skill in skills for skill in find_skills(line)), 2)
    return worth + (0.5 if _SHORT <= len(line) <= _LONG else -1.5)
