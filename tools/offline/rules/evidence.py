"""Quotes out of the cited postings, letter for letter, that speak for a project."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tools.lexicon import canonical, find_skills

from .crafts import Idea
from .market import concepts_of
from .text import SECTIONS, lines, read, same_title, stems

_MAX_QUOTES = 5
_ENOUGH = 2
_SHORT, _LONG = 10, 90
_WORTH_ADDING = 2.0
_POOR = -10.0
# Lines that only say how long, which degree, which certificate: they show nothing of the work.
_PAPERS = re.compile(
    r"\d+\s*년|경력|학위|학사|석사|박사|전공|졸업|자격증|기사\b|신입|years?\b|degree|bachelor|master|certif",
    re.I,
)
_PAPER_CONCEPTS = frozenset({"years", "degree", "foreign", "collaboration"})


def quote(
    postings: Sequence[Mapping[str, Any]], idea: Idea, skills: Sequence[str], about: str = ""
) -> list[dict[str, str]]:
    """Returns 2 to 5 quotes, one a posting while there are enough postings, the most telling first.

    Fewer when the postings hold fewer lines. A quote is always a part of one line of its posting.
    """
    said = stems(about)
    wanted = {canonical(skill) for skill in skills}
    ranked: list[tuple[float, str, str]] = []
    for posting in postings:
        for section in SECTIONS:
            title = same_title(read(posting, "job_title"))
            for line in lines(read(posting, section)):
                if same_title(line) == title:
                    continue
                ranked.append((_speaks(line, idea, wanted, said), read(posting, "posting_id"), line))
    ranked.sort(key=lambda row: -row[0])
    chosen: list[tuple[str, str]] = []
    for worth, posting_id, line in ranked:
        if len(chosen) == _MAX_QUOTES or worth < _POOR:
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


def _speaks(line: str, idea: Idea, skills: set[str], said: frozenset[str]) -> float:
    concepts = set(concepts_of(line))
    worth = 2.0 * len(idea.angle.concepts & concepts)
    worth += 2.0 * (idea.domain.named.search(line.lower()) is not None)
    worth += min(sum(skill in skills for skill in find_skills(line)), 2)
    worth += 0.8 * min(len(stems(line) & said), 3)
    if _PAPERS.search(line) and not find_skills(line) and not concepts - _PAPER_CONCEPTS:
        return worth + 2 * _POOR
    return worth + (0.5 if _SHORT <= len(line) <= _LONG else -1.5)
