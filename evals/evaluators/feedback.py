"""What of a feedback in free words can be checked by rule: shorter, easier, with this, without that.

Only clear words count. What is not understood is not checked, so that a rule's misunderstanding is no
fault of the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.lexicon import find_skills

_SHORTER = re.compile(
    r"짧게|짧은|짧았으면|더 ?빨리 ?끝|기간을? ?(?:줄|짧)|\bshorter\b|\bless time\b|\bquicker\b", re.I
)
_LONGER = re.compile(r"길게|더 ?긴|기간을? ?늘|\blonger\b|\bmore time\b", re.I)
_EASIER = re.compile(
    r"(?<!너무 )(?:더 )?쉽게|더 ?쉬운|난이도를? ?(?:낮|내)|너무 ?어려|\beasier\b|\btoo (?:hard|difficult)\b",
    re.I,
)
_HARDER = re.compile(
    r"어렵게|더 ?어려운|난이도를? ?(?:높|올)|너무 ?쉬|\bharder\b|\bmore (?:difficult|challenging)\b"
    r"|\btoo easy\b",
    re.I,
)
_WEEKS = re.compile(r"(\d{1,2})\s*(?:주(?!\s*(?:차|년))|weeks?\b)", re.I)
_AT_MOST = re.compile(r"이내|안에|안으로|이하|넘지|within|at most|no more than|under|up to", re.I)
_WITHOUT_KO = re.compile(
    r"(?P<what>(?:\S+[\s,]+){0,3}?\S+?)\s*(?:은|는|을|를|이|가)?\s*"
    r"(?:빼(?!지|놓지)|제외(?!하지)|말고|없이|대신|(?:쓰|사용하|넣)지\s*(?:말|않)|안\s*(?:쓰|넣)|싫)"
)
_WITHOUT_EN = re.compile(
    r"\b(?:without|instead of|rather than|exclud(?:e|ing)|avoid|drop|remove|skip|no more|not using|no)\s+"
    r"(?P<what>\S+(?:(?:,\s*|\s+(?:and|or)\s+)\S+)*)",
    re.I,
)
_WITH_KO = re.compile(
    r"(?P<what>(?:\S+[\s,]+){0,2}?\S+?)(?:(?:으로|로)(?=[\s.,!]|$)|(?:을|를)?\s*(?:써|쓰고|사용|활용|이용|넣|추가|다뤄|배우))"
)
_WITH_EN = re.compile(
    r"\b(?:with|use|using|add|include|try|learn)\s+(?P<what>\S+(?:(?:,\s*|\s+(?:and|or)\s+|\s)\S+)?)", re.I
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What can be checked. `weeks` is exact unless `at_most`; `stretch` and `shift` are -1 for shorter and
    easier, 1 for longer and harder; skills are canonical names in lower case."""

    stretch: int = 0
    shift: int = 0
    weeks: int | None = None
    at_most: bool = False
    without: frozenset[str] = frozenset()
    with_: frozenset[str] = frozenset()


def understood(text: str) -> Asked:
    """Returns what of a feedback can be checked; nothing of it, where nothing is clear."""
    without = _skills([_WITHOUT_KO, _WITHOUT_EN], text)
    rest = _WITHOUT_EN.sub(" ", _WITHOUT_KO.sub(" ", text))
    weeks = _WEEKS.search(text)
    return Asked(
        stretch=bool(_LONGER.search(text)) - bool(_SHORTER.search(text)),
        shift=bool(_HARDER.search(text)) - bool(_EASIER.search(text)),
        weeks=int(weeks[1]) if weeks else None,
        at_most=weeks is not None and _AT_MOST.search(text) is not None,
        without=without,
        with_=_skills([_WITH_KO, _WITH_EN], rest) - without,
    )


def _skills(patterns: list[re.Pattern[str]], text: str) -> frozenset[str]:
    named = (match["what"] for pattern in patterns for match in pattern.finditer(text))
    return frozenset(skill.casefold() for what in named for skill in find_skills(what))
