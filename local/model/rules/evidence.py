"""Quotes out of the cited postings, letter for letter, that speak for a project."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.lexicon import canonical, find_skills

from .crafts import Idea
from .market import COMMON, concepts_of
from .text import SECTIONS, lines, read, same_title, stems

Row = Mapping[str, Any]

_MAX_QUOTES = 5
_ENOUGH = 2
_SHORT, _LONG = 10, 90
_WORTH_ADDING = 2.0
_POOR = -10.0
_TELLING = 0.6
"""Weight of shared words from which a line speaks of the project."""
_COMMON_WEIGHT = 0.2
_OF_A_TASK = 0.5
_MOST_WORDS = 3.0
# Lines that only say how long, which degree, which certificate: they show nothing of the work.
_PAPERS = re.compile(
    r"\d+\s*년|경력|학위|학사|석사|박사|전공|졸업|자격증|기사\b|신입|years?\b|degree|bachelor|master|certif",
    re.I,
)
_PAPER_CONCEPTS = frozenset({"years", "degree", "foreign", "collaboration"})


@dataclass(frozen=True)
class _Found:
    """A line with what it is worth; `telling` when it names a skill of the project or its words."""

    posting_id: str
    line: str
    worth: float
    telling: bool


def quote(
    postings: Sequence[Row], idea: Idea, skills: Sequence[str], about: str, work: str
) -> list[dict[str, str]]:
    """Returns 2 to 5 quotes, the most telling first, of as many postings as have something to say.

    `about` says what the project is, `work` what is done in it. A posting without a line that speaks of it
    is left out where others have two. Fewer quotes when the postings hold fewer lines. A quote is always
    a part of one line of its posting.
    """
    wanted = {canonical(skill) for skill in skills}
    weights = _weights(postings, stems(about), stems(work))
    found = [
        _Found(read(posting, "posting_id"), line, *_speaks(line, idea, wanted, weights))
        for posting in postings
        for line in _lines(posting)
    ]
    found.sort(key=lambda row: (not row.telling, -row.worth))
    chosen: list[_Found] = []
    for row in found:
        fresh = row.posting_id not in {known.posting_id for known in chosen}
        if row.telling and row.worth >= _WORTH_ADDING and fresh and not _said(row, chosen):
            chosen.append(row)
    chosen = chosen[:_MAX_QUOTES]
    # Rather a second line of a posting that speaks of the project than the first of one that does not.
    for row in found:
        if len(chosen) >= _ENOUGH:
            break
        if not _said(row, chosen):
            chosen.append(row)
    return [{"posting_id": row.posting_id, "quote": row.line} for row in chosen]


def _lines(posting: Row) -> list[str]:
    title = same_title(read(posting, "job_title"))
    listed = [line for section in SECTIONS for line in lines(read(posting, section))]
    return [line for line in dict.fromkeys(listed) if same_title(line) != title]


def _said(row: _Found, chosen: Sequence[_Found]) -> bool:
    return row.line in {known.line for known in chosen}


def _weights(postings: Sequence[Row], about: frozenset[str], work: frozenset[str]) -> dict[str, float]:
    """How much a word of the project tells: less, the more of the postings use it or if all trades do,
    and half where it stands among the tasks only."""
    used = Counter(
        word for posting in postings for word in {word for line in _lines(posting) for word in stems(line)}
    )
    return {
        word: (_COMMON_WEIGHT if word in COMMON else 1 - (used[word] - 1) / len(postings))
        * (1.0 if word in about else _OF_A_TASK)
        for word in used.keys() & (about | work)
    }


def _speaks(line: str, idea: Idea, skills: set[str], weights: Mapping[str, float]) -> tuple[float, bool]:
    concepts = set(concepts_of(line))
    named = [skill for skill in find_skills(line) if skill in skills]
    shared = sum(weights.get(word, 0.0) for word in stems(line))
    worth = 2.0 * len(idea.angle.concepts & concepts)
    worth += 2.0 * (idea.domain.named.search(line.lower()) is not None)
    worth += min(len(named), 2)
    worth += min(shared, _MOST_WORDS)
    telling = bool(named) or shared >= _TELLING
    if _PAPERS.search(line) and not find_skills(line) and not concepts - _PAPER_CONCEPTS:
        return worth + 2 * _POOR, False
    return worth + (0.5 if _SHORT <= len(line) <= _LONG else -1.5), telling
